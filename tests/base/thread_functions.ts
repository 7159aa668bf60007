// Functions for other threads, which each have a module of their own.

export const moduleUrl = import.meta.url;

let place = "elsewhere";

/** Says that this is the thread of the test. */
export function setPlace(name: string): void {
  place = name;
}

/** The place where it is called, and its argument. */
export function placeAnd(value: number): [string, number] {
  return [place, value];
}

/** What holds pixels. */
export function pixels(length: number): { data: Uint8ClampedArray<ArrayBuffer> } {
  return { data: new Uint8ClampedArray(length) };
}

/** Throws an error. */
export function fail(): never {
  throw new RangeError("it is too wide");
}

const twice = (value: number) => 2 * value;

/** What cannot be sent between threads. */
export function uncloneable(): unknown {
  return twice;
}

/** Ends another thread, which tells nobody; on this one, says where it is. */
export function endSilently(): Promise<string> {
  if (place === "here") return Promise.resolve(place);
  Deno.exit();
}
