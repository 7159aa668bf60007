// The picture to start from, and its part to repaint, as they are edited.

import { signal } from "npm:@preact/signals@2.11.4";
import type { StartPicture } from "./api.ts";

/** Longest side of what is kept of a picture; models draw smaller ones. */
const MOST_SIDE = 512;

/** A picture that is edited: a square, as models draw, and a canvas that is white where it is repainted. */
export interface EditedPicture {
  readonly image: Blob;
  readonly side: number;
  readonly mask: HTMLCanvasElement;
}

/** The picture to start from, if there is one. */
export const startPicture = signal<EditedPicture | undefined>(undefined);

/** Whether any of its mask is painted. */
export const isPainted = signal(false);

/**
 * Takes another picture: its largest square in the middle.
 *
 * @param file Undefined for none.
 * @throws {Error} If the browser cannot read it.
 */
export async function useStartPicture(file: Blob | undefined, mask?: Blob): Promise<void> {
  if (file === undefined) {
    startPicture.value = undefined;
    isPainted.value = false;
    return;
  }
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error("This file is no picture that the browser can read");
  });
  const square = Math.min(bitmap.width, bitmap.height);
  const side = Math.min(square, MOST_SIDE);
  const [canvas, context] = canvasOf(side);
  context.fillStyle = "white";
  context.fillRect(0, 0, side, side);
  context.imageSmoothingQuality = "high";
  const [left, top] = [(bitmap.width - square) / 2, (bitmap.height - square) / 2];
  context.drawImage(bitmap, left, top, square, square, 0, 0, side, side);
  bitmap.close();
  const [painted, painting] = canvasOf(side);
  if (mask) {
    const old = await createImageBitmap(mask);
    painting.drawImage(old, 0, 0, side, side);
    old.close();
  }
  startPicture.value = { image: await pngOf(canvas), side, mask: painted };
  isPainted.value = mask !== undefined;
}

/** What is to be drawn from; the mask only if anything is painted. */
export async function startPictureOf(): Promise<StartPicture | undefined> {
  const picture = startPicture.value;
  if (picture === undefined) return undefined;
  const { image, mask } = picture;
  return isPainted.value ? { image, mask: await pngOf(mask) } : { image };
}

/** Repaints a rectangle, in shares of the side. */
export function paint(left: number, top: number, width: number, height: number): void {
  onMask((context, side) => {
    context.fillStyle = "white";
    context.fillRect(left * side, top * side, width * side, height * side);
  });
}

/** Repaints along a line, in shares of the side. */
export function brush(
  from: readonly [number, number],
  to: readonly [number, number],
  width: number,
): void {
  onMask((context, side) => {
    context.strokeStyle = "white";
    context.lineCap = "round";
    context.lineWidth = width * side;
    context.beginPath();
    context.moveTo(from[0] * side, from[1] * side);
    context.lineTo(to[0] * side, to[1] * side);
    context.stroke();
  });
}

/** Repaints nothing. */
export function clearMask(): void {
  onMask((context, side) => context.clearRect(0, 0, side, side));
  isPainted.value = false;
}

function onMask(change: (context: CanvasRenderingContext2D, side: number) => void): void {
  const picture = startPicture.value;
  if (picture === undefined) return;
  change(picture.mask.getContext("2d")!, picture.side);
  isPainted.value = true;
}

function canvasOf(side: number): [HTMLCanvasElement, CanvasRenderingContext2D] {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [side, side];
  return [canvas, canvas.getContext("2d")!];
}

function pngOf(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => {
      if (blob) resolve(blob);
      else reject(new Error("The browser cannot write the picture"));
    }, "image/png");
  });
}
