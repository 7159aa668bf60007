/**
 * JSON of any length, parsed in parts.
 *
 * @module
 */

import type { Steps } from "./pauses.ts";

/** Units of text that are parsed at once, about a millisecond of work. */
const PIECE = 2 ** 16;

/** Units that are looked through between two places where parsing may be interrupted. */
const WINDOW = 2 ** 20;

/** Most levels of a text that is parsed in parts. */
const MAX_DEPTH = 1000;

/** An object that may have very many members, and is given as a `Map`. */
export interface JsonTable {
  /** The keys that lead to it. None mean the whole. */
  readonly path: readonly string[];
  /**
   * Whether its keys are given as numbers. Engines look numbers up much faster than their texts, of which
   * very many make all other texts slow.
   */
  readonly byNumber?: boolean;
}

type JsonObject = Record<string, unknown>;

/**
 * Parses JSON as `JSON.parse` does: the same values of the same texts. Long ones are cut between members
 * of their arrays and objects, so that other work may come in between; a single string or number is not.
 *
 * @param tables Those objects whose members have to be listed in parts, which only a `Map` allows.
 * @throws {SyntaxError} If it is not valid JSON, or long and nested more than 1000 levels deep.
 */
export function* parseJson(text: string, tables: readonly JsonTable[] = []): Steps<unknown> {
  let value: unknown;
  if (text.length <= PIECE || !/^[ \t\n\r]*[[{]/.test(text)) value = JSON.parse(text);
  else value = yield* new LongText(text, tables).parse();
  return tables.reduce((whole, table) => withTable(whole, table.path, table), value);
}

/** The value with a `Map` at a place where there is an object. */
function withTable(value: unknown, [key, ...keys]: readonly string[], table: JsonTable): unknown {
  if (value instanceof Map) {
    if (key !== undefined && value.has(key)) value.set(key, withTable(value.get(key), keys, table));
  } else if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    if (key === undefined) {
      const keyOf = table.byNumber ? Number : String;
      return new Map(Object.entries(value).map(([key, member]) => [keyOf(key), member]));
    }
    const inner = Object.getOwnPropertyDescriptor(value, key)?.value;
    if (inner !== undefined) setMember(value as JsonObject, key, withTable(inner, keys, table));
  }
  return value;
}

/** An array or object that has begun but not ended. */
interface Container {
  readonly isObject: boolean;
  /** Place after its bracket. */
  readonly begin: number;
  /** Its members before `pending`; undefined as long as it has not been cut. */
  value: unknown[] | JsonObject | Map<unknown, unknown> | undefined;
  /** What it is given as, if it is a table. */
  table: JsonTable | undefined;
  /** Where the text begins that is not parsed yet. */
  pending: number;
  /** Where the member begins that is looked through. */
  member: number;
  /** Whether that member was cut itself, and has ended: then it has ended at `pending`. */
  hasMember: boolean;
}

/**
 * A text that is looked through once, from bracket to bracket. It is cut at a comma as soon as a piece is
 * long enough: what has passed of the innermost container is parsed, and the containers around it are
 * when it ends.
 */
class LongText {
  readonly #text: string;
  readonly #tables: readonly JsonTable[];
  readonly #open: Container[] = [];
  #isInString = false;
  #lastCut = 0;
  /** The outermost container, once it has ended. */
  #root: Container | undefined;

  constructor(text: string, tables: readonly JsonTable[]) {
    this.#text = text;
    this.#tables = tables;
  }

  *parse(): Steps<unknown> {
    const text = this.#text;
    let place = 0;
    while (!this.#root) {
      if (place >= text.length) throw new SyntaxError("Unexpected end of JSON");
      place = this.#scan(place, Math.min(place + WINDOW, text.length));
      yield;
    }
    this.#checkBlank(place, text.length);
    return this.#root.value ?? JSON.parse(text);
  }

  /** Looks through a part of the text, until a piece was parsed. Returns where to go on. */
  #scan(place: number, end: number): number {
    const text = this.#text;
    for (; place < end; place++) {
      const unit = text.charCodeAt(place);
      if (this.#isInString) {
        if (unit === 0x22) this.#isInString = false;
        else if (unit === 0x5c) place++; // backslash, and what it escapes
      } else if (unit === 0x22) this.#isInString = true;
      else if (unit === 0x2c) {
        if (this.#endMember(place)) return place + 1;
      } else if (unit === 0x7b || unit === 0x5b) this.#begin(unit === 0x7b, place + 1);
      else if ((unit === 0x7d || unit === 0x5d) && this.#end(unit === 0x7d, place)) {
        return place + 1;
      }
    }
    return place;
  }

  #begin(isObject: boolean, begin: number): void {
    if (this.#open.length === MAX_DEPTH) {
      throw new SyntaxError(`JSON is nested more than ${MAX_DEPTH} levels deep`);
    }
    const places = { begin, pending: begin, member: begin };
    this.#open.push({ isObject, ...places, value: undefined, table: undefined, hasMember: false });
  }

  /** Ends a member at a comma. Returns whether a piece was parsed. */
  #endMember(comma: number): boolean {
    const container = this.#open.at(-1);
    if (!container) throw new SyntaxError("Unexpected comma in JSON");
    container.member = comma + 1;
    if (container.hasMember) this.#checkBlank(container.pending, comma);
    else if (comma - this.#lastCut > PIECE) this.#parsePending(container, comma);
    else return false;
    container.pending = comma + 1;
    container.hasMember = false;
    this.#lastCut = comma;
    return true;
  }

  /** Ends a container. Returns whether a piece was parsed, or it was the outermost one. */
  #end(isObject: boolean, place: number): boolean {
    const container = this.#open.pop();
    if (container?.isObject !== isObject) throw new SyntaxError("Unexpected bracket in JSON");
    const parent = this.#open.at(-1);
    if (!parent) this.#root = container;
    if (!container.value) return !parent;
    if (container.hasMember) this.#checkBlank(container.pending, place);
    else this.#parsePending(container, place);
    if (!parent) return true;
    if (parent.hasMember) throw new SyntaxError("Unexpected bracket in JSON");
    if (parent.member > parent.pending) this.#parsePending(parent, parent.member - 1);
    this.#addMember(parent, this.#keyOf(parent, container), container.value);
    parent.pending = place + 1;
    parent.hasMember = true;
    this.#lastCut = place;
    return true;
  }

  /** Parses what has passed of a container: at least one member. */
  #parsePending(container: Container, end: number): void {
    const { pending, isObject } = container;
    if (this.#isBlank(pending, end)) throw new SyntaxError("Unexpected comma in JSON");
    const piece = this.#text.slice(pending, end);
    const members = JSON.parse(isObject ? `{${piece}}` : `[${piece}]`);
    if (!isObject) { for (const member of members) this.#addMember(container, "", member); }
    else for (const key of Object.keys(members)) this.#addMember(container, key, members[key]);
  }

  #addMember(container: Container, key: string, member: unknown): void {
    const value = container.value ??= this.#emptyValue(container);
    if (Array.isArray(value)) value.push(member);
    else if (value instanceof Map) value.set(container.table?.byNumber ? Number(key) : key, member);
    else setMember(value, key, member);
  }

  #emptyValue(container: Container): NonNullable<Container["value"]> {
    if (!container.isObject) return [];
    const depth = this.#open.lastIndexOf(container);
    container.table = this.#tables.find(({ path }) => this.#leadsTo(path, depth));
    return container.table ? new Map() : {};
  }

  /** Whether keys lead to the open container of a depth. */
  #leadsTo(path: readonly string[], depth: number): boolean {
    return path.length === depth && path.every((key, i) => {
      const parent = this.#open[i]!;
      return parent.isObject && this.#keyOf(parent, this.#open[i + 1]!) === key;
    });
  }

  /** Key of the member that a container is, and a check of what stands before it; empty in arrays. */
  #keyOf({ isObject, member }: Container, { isObject: isInnerObject, begin }: Container): string {
    const inner = this.#text.slice(member, begin) + (isInnerObject ? "}" : "]");
    const outer = JSON.parse(isObject ? `{${inner}}` : `[${inner}]`);
    return isObject ? Object.keys(outer)[0]! : "";
  }

  #checkBlank(begin: number, end: number): void {
    if (!this.#isBlank(begin, end)) throw new SyntaxError("Unexpected text after a value of JSON");
  }

  #isBlank(begin: number, end: number): boolean {
    return !/[^ \t\n\r]/.test(this.#text.slice(begin, end));
  }
}

/** Sets an own property, also where all objects have another of its name, such as `__proto__`. */
function setMember(object: JsonObject, key: string, value: unknown): void {
  if (key in Object.prototype) {
    const attributes = { writable: true, enumerable: true, configurable: true };
    Object.defineProperty(object, key, { value, ...attributes });
  } else object[key] = value;
}
