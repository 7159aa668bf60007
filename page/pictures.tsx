/** @jsxRuntime automatic */
/** @jsxImportSource npm:preact@11.2.0 */
// What is drawn, what waits, and what was drawn.

import { useEffect, useMemo } from "npm:preact@11.2.0/hooks";
import type { JSX } from "npm:preact@11.2.0";
import {
  drawAll,
  drawing,
  error,
  keepSeed,
  notes,
  pictures,
  removePicture,
  removeTask,
  reuse,
  startFrom,
  status,
  stop,
  titleOf,
  waiting,
} from "./state.ts";
import type { Picture } from "./store.ts";

/** The drawing in progress and the queue. */
export function Progress(): JSX.Element {
  return (
    <section id="drawing" class="panel" aria-label="Drawing">
      <p role="status">{status.value || "Say what to draw, such as “a rocket”."}</p>
      {error.value && <p role="alert" class="error">{error}</p>}
      {notes.value.map((note) => <p key={note} class="warning">Note: {note}</p>)}
      {drawing.value ? <Current /> : <Newest />}
      {waiting.value.length > 0 && <Waiting />}
    </section>
  );
}

function Current(): JSX.Element {
  const { settings, text, step, steps, previews } = drawing.value!;
  const count = Number(settings.values["images"] ?? 1);
  const title = titleOf(settings);
  return (
    <>
      <div class="row apart">
        <h2>{title}</h2>
        <button type="button" onClick={stop}>Stop</button>
      </div>
      <progress aria-label="Progress" value={step} max={steps} />
      <p class="quiet" data-progress>{text}</p>
      <div class="pictures">
        {Array.from({ length: count }, (_, i) =>
          previews[i]
            ? <PngImage key={i} png={previews[i]} alt={`Preview of ${title}`} />
            : <div key={i} class="placeholder" />)}
      </div>
    </>
  );
}

/** The picture that was drawn last, to be looked at. */
function Newest(): JSX.Element | null {
  const [picture] = pictures.value;
  if (!picture) return null;
  return (
    <div class="pictures">
      <PngImage png={picture.png} alt={titleOf(picture.settings)} />
    </div>
  );
}

function Waiting(): JSX.Element {
  return (
    <>
      <div class="row apart">
        <h2>Next</h2>
        {!drawing.value && <button type="button" onClick={drawAll}>Go on</button>}
      </div>
      <ol>
        {waiting.value.map(({ id, settings }) => (
          <li key={id}>
            <div class="row apart">
              <span>{titleOf(settings)}</span>
              <button
                type="button"
                aria-label={`Remove ${titleOf(settings)}`}
                onClick={() => removeTask(id)}
              >
                Remove
              </button>
            </div>
          </li>
        ))}
      </ol>
    </>
  );
}

/** All pictures that this browser keeps. */
export function Gallery(): JSX.Element {
  return (
    <section class="gallery panel" aria-label="Gallery">
      <h2>Gallery</h2>
      {pictures.value.length === 0 && (
        <p class="quiet">Pictures appear here, and stay in this browser.</p>
      )}
      <ul>
        {pictures.value.map((picture) => (
          <li key={picture.id}>
            <Entry {...picture} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Entry(picture: Picture): JSX.Element {
  const { id, settings: { seed, values } } = picture;
  const prompt = titleOf(picture.settings);
  const url = usePng(picture.png);
  const name = prompt.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60);
  const details = Object.entries(values).filter(([key]) => key !== "images")
    .map(([key, value]) => `${key} ${value}`).join(", ");
  return (
    <figure>
      <img src={url} alt={prompt} />
      <figcaption>
        {picture.drawn || prompt}
        <br />
        <span class="quiet">seed {seed}, {details}</span>
      </figcaption>
      <div class="row">
        <button
          type="button"
          aria-label={`Reuse the settings of ${prompt}`}
          onClick={() => reuse(picture)}
        >
          Reuse
        </button>
        <button type="button" aria-label={`Keep the seed ${seed}`} onClick={() => keepSeed(seed)}>
          Seed
        </button>
        <button
          type="button"
          aria-label={`Start from ${prompt}`}
          onClick={() => startFrom(picture.png)}
        >
          Edit
        </button>
        <a
          class="button"
          href={url}
          download={`${name}-${seed}.png`}
          aria-label={`Download ${prompt}`}
        >
          Download
        </a>
        <button type="button" aria-label={`Delete ${prompt}`} onClick={() => removePicture(id)}>
          Delete
        </button>
      </div>
    </figure>
  );
}

function PngImage({ png, alt }: { readonly png: Blob; readonly alt: string }): JSX.Element {
  return <img src={usePng(png)} alt={alt} />;
}

/** A URL of a picture, as long as it is shown. */
function usePng(png: Blob): string {
  const url = useMemo(() => URL.createObjectURL(png), [png]);
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  return url;
}
