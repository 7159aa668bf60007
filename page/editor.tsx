/** @jsxRuntime automatic */
/** @jsxImportSource npm:preact@11.2.0 */
// Chooses the picture to start from, and paints what of it is drawn anew.

import { useSignal } from "npm:@preact/signals@2.11.4";
import { useEffect, useMemo, useRef } from "npm:preact@11.2.0/hooks";
import type { JSX, TargetedPointerEvent } from "npm:preact@11.2.0";
import { NumberField } from "./fields.tsx";
import {
  brush,
  clearMask,
  type EditedPicture,
  isPainted,
  paint,
  startPicture,
} from "./start_picture.ts";
import { info, startFrom } from "./state.ts";

/** Halves that can be painted without a pointer: name, and rectangle in shares of the side. */
const HALVES = [
  ["Left half", 0, 0, 0.5, 1],
  ["Right half", 0.5, 0, 0.5, 1],
  ["Upper half", 0, 0, 1, 0.5],
  ["Lower half", 0, 0.5, 1, 0.5],
] as const;

/** The part of the form about the picture to start from. */
export function StartPictureField(): JSX.Element {
  const isOver = useSignal(false);
  const picture = startPicture.value;
  return (
    <fieldset
      class={isOver.value ? "over" : ""}
      data-start
      onDragOver={(event) => {
        event.preventDefault();
        isOver.value = true;
      }}
      onDragLeave={() => isOver.value = false}
      onDrop={(event) => {
        event.preventDefault();
        event.stopPropagation();
        isOver.value = false;
        const file = event.dataTransfer?.files[0];
        if (file) startFrom(file);
      }}
    >
      <legend>Start from a picture</legend>
      <label>
        <small>Drop one here, or choose a file</small>
        <input
          name="image"
          type="file"
          accept="image/*"
          onChange={({ currentTarget }) => {
            const file = currentTarget.files?.[0];
            if (file) startFrom(file);
            currentTarget.value = "";
          }}
        />
      </label>
      {picture && <Editor {...picture} />}
    </fieldset>
  );
}

function Editor(picture: EditedPicture): JSX.Element {
  const strength = info.value?.parameters.find(({ name }) => name === "strength");
  const width = useSignal(0.15);
  return (
    <>
      <Canvas {...picture} width={width.value} />
      <p class="quiet">
        {isPainted.value
          ? "What is painted is drawn anew, the rest stays."
          : "All of it is changed. Paint on it to change a part only."}
      </p>
      <div class="row chips" role="group" aria-label="Paint">
        {HALVES.map(([name, left, top, width, height]) => (
          <button
            key={name}
            type="button"
            onClick={() => paint(left, top, width, height)}
          >
            {name}
          </button>
        ))}
        <button type="button" disabled={!isPainted.value} onClick={clearMask}>Clear</button>
      </div>
      <div class="fields">
        <label>
          Brush
          <input
            name="brush"
            type="range"
            min="0.02"
            max="0.4"
            step="0.01"
            value={width}
            onInput={({ currentTarget }) => width.value = currentTarget.valueAsNumber}
          />
        </label>
        {strength && <NumberField {...strength} placeholder={isPainted.value ? "1" : "0.8"} />}
      </div>
      <button type="button" onClick={() => startFrom(undefined)}>Remove the picture</button>
    </>
  );
}

/** The picture under its mask, which is painted with a pointer. */
function Canvas(
  { image, mask, side, width }: EditedPicture & { readonly width: number },
): JSX.Element {
  const url = useMemo(() => URL.createObjectURL(image), [image]);
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  const frame = useRef<HTMLDivElement>(null);
  useEffect(() => {
    frame.current?.append(mask);
    // A picture of the gallery, or one that was dropped, may have been out of sight of it.
    frame.current?.scrollIntoView({ block: "nearest" });
    return () => mask.remove();
  }, [mask]);
  const last = useRef<readonly [number, number] | undefined>(undefined);
  const move = ({ currentTarget, clientX, clientY }: TargetedPointerEvent<HTMLDivElement>) => {
    const { left, top, width: size } = currentTarget.getBoundingClientRect();
    const here = [(clientX - left) / size, (clientY - top) / size] as const;
    brush(last.current ?? here, here, width);
    last.current = here;
  };
  return (
    <div
      ref={frame}
      class="editor"
      onPointerDown={(event) => {
        event.preventDefault();
        event.currentTarget.setPointerCapture(event.pointerId);
        move(event);
      }}
      onPointerMove={(event) => last.current && move(event)}
      onPointerUp={() => last.current = undefined}
      onPointerCancel={() => last.current = undefined}
    >
      <img src={url} alt={`Picture to start from, ${side} pixels wide`} draggable={false} />
    </div>
  );
}
