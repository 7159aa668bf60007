// Sets of emoji as vector drawings, from the packages of Iconify.

/** An icon of a set: what is inside of its `svg` element, and its own view box if it has one. */
interface Icon {
  readonly body: string;
  readonly hidden?: boolean;
  readonly left?: number;
  readonly top?: number;
  readonly width?: number;
  readonly height?: number;
}

/** A set of icons in Iconify's format. */
export interface IconSet {
  readonly icons: Readonly<Record<string, Icon>>;
  readonly width?: number;
  readonly height?: number;
}

/** What the sides of a picture are to that of the icon in it. */
const MARGIN = 64 / 60;

/** Icons that are parts, or one of many of a kind. */
const LEFT_OUT = /skin|tone|^flag-|^regional|^keycap|^component/;
const SHADE = /-(medium-light|medium-dark|light|medium|dark)$/;

/** Loads a set from its package, which is fetched if it is not in Deno's cache. */
export async function loadSet(set: string, version: string): Promise<IconSet> {
  // In a variable, so that checking this program fetches no package.
  const specifier = `npm:@iconify-json/${set}@${version}/icons.json`;
  return (await import(specifier, { with: { type: "json" } })).default;
}

/** Keys of the icons of a set that show one thing each, in no shade of skin. */
export function keysOf({ icons }: IconSet): string[] {
  return Object.keys(icons).filter((key) => {
    if (icons[key]!.hidden || LEFT_OUT.test(key)) return false;
    const base = key.replace(SHADE, "");
    const shades = `${base}-dark` in icons && `${base}-light` in icons;
    return base === key || !(base in icons || shades);
  });
}

/** The name of the thing that an icon shows: "red-apple" is a red apple. */
export function nameOf(key: string): string {
  return key.replaceAll("-", " ");
}

/** An icon as a document of its own, with a margin around it. */
export function svgOf(set: IconSet, key: string, side: number): string {
  const { body, left = 0, top = 0, ...own } = set.icons[key]!;
  const width = own.width ?? set.width ?? 16;
  const height = own.height ?? set.height ?? 16;
  const box = Math.max(width, height) * MARGIN;
  const view = [(width - box) / 2 + left, (height - box) / 2 + top, box, box].join(" ");
  const names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"';
  return `<svg ${names} width="${side}" height="${side}" viewBox="${view}">${body}</svg>`;
}
