/**
 * What `generate --help` says.
 *
 * @module
 */

import {
  GENERATION_PARAMETERS,
  PARAMETER_NAMES,
  type ParameterName,
  rangeOf,
} from "../pipeline/generation_parameters.ts";
import { PARAMETER_OPTIONS } from "./generate_arguments.ts";

/** What the command line takes in place of one seed. */
const SEED_LISTS = "; a range (1-8) or a list (1,5,9) draws a picture with each";

/** Where explanations begin, and where lines end. */
const [COLUMN, WIDTH] = [23, 102];

/** Values of options, by their kind. */
const VALUES = {
  integer: "n",
  number: "x",
  seed: "n",
  text: "text",
  texts: "a,b",
  sampler: "name",
  interval: "x-x",
} as const;

/** What happens if an option is not given, where that is not the table's default. */
const DEFAULTS: Readonly<Partial<Record<ParameterName, string>>> = {
  seed: "random",
  sampler: "the model's",
  numInferenceSteps: "the model's, else 100",
  guidanceScale: "the model's, else 5",
  truncationRate: "the model's, else 1",
  guidanceInterval: "0-1",
  negativePrompt: "none",
  styles: "the model's, none with --image",
  topK: "all",
  strength: "0.8; 1 with --mask",
};

/** The text. */
export const GENERATE_HELP: string = `Draws pictures of prompts.

Usage:
  deno task generate "<prompt>" ["<prompt>" …] [options]
  deno task generate --class <n> --model <source> [options]
  deno task generate --list [<words>]

Prompts, one of these or several:
  "<prompt>"           What to draw
  -                    Prompts of the standard input, one on each line
  --prompts <file>     Prompts of a file, one on each line; blank lines and # comments are left out
  --from <picture>     Prompt, seed and settings of a picture that was drawn here before; what is
                       given beside it comes first
  --class <n>          Class to draw in place of a prompt, if the model draws from classes; a range
                       (0-8) or a list (1,5,9) draws each. An unconditional model takes neither
  --list               Say what the model can draw: all names, or those that have the words in their
                       name or category

Pictures:
${PARAMETER_NAMES.map(helpLine).join("\n")}
  --image <file>       Picture to start from, PNG or JPEG; its largest square is taken. Without a
                       prompt it is varied
  --mask <file>        What of it to repaint, in white; of the same size
  --scale <n>          Enlarge the pixels by a whole factor, for looking at small pictures

Files:
  --out <path>         File or folder of the pictures, or - for the standard output (default: this
                       folder, named by prompt and seed); a folder that is new needs a / at the end
  --overwrite          Replace files of the same names; else the new ones get a number
  --save-tokens        Also write the tokens and the arguments, as JSON

Model and device:
  --model <source>     Folder, checkpoint, URL or hub id "owner/name" (default: the embedded model)
  --revision <name>    Branch, tag or commit of a model on the hub (default: main)
  --dtype <type>       Hold weights as fp32, fp16 or q8 (default: as stored)
  --device <device>    auto, wasm (CPU) or webgpu (GPU) (default: auto)
  --threads <n>        Threads on the CPU (default: one for each processor)

  --json               Print files, seeds, settings, device and times as one line of JSON
  --quiet              Say nothing unless something goes wrong
  --version            Say the version
  --help               Say this

Where the default is the model's, inspect shows it; one that does not draw from text is guided only if
you ask for it. Samplers: leading (as diffusers), strided, cosine, fast:4 (of that speed), purity:2:1
(of that rule and weight, which may be left out).

Each picture has a seed: "--images 4 --seed 1" is "--seed 1-4", for each prompt, and "--seed 3" alone
draws the third again. Several pictures are shown together on a contact sheet, those of a prompt in a
row. The settings are written into the PNG files.

Examples:
  deno task generate "a red apple on a blue background"
  deno task generate "a cat" "a crown, flat style" --seed 1-3 --out pictures/
  deno task generate "a crown" "a rocket" --truncation 0.86 --guidance 4 --scale 4
  deno task generate --from a-crown-5.png --steps 50
  deno task generate "a green apple" --image apple.png --strength 0.6
  deno task generate "a rocket" --image photo.jpg --mask sky.png
  deno task generate --class 207,387 --model imagenet/imagenet_cf.pth --guidance 1.5 --truncation 0.94
  deno task generate --list animal
  deno task generate "a teddy bear" --model microsoft/vq-diffusion-ithq --dtype q8

Models of the hub are kept where huggingface_hub keeps them. HF_ENDPOINT, HF_TOKEN, HF_HOME,
HF_HUB_CACHE and HF_HUB_OFFLINE are heeded.
`;

/** The line of a parameter. */
function helpLine(name: ParameterName): string {
  const { type, help, default: value } = GENERATION_PARAMETERS[name];
  const { min, max } = rangeOf(name, {});
  const option = `  --${PARAMETER_OPTIONS[name]} <${VALUES[type]}>`;
  const range = max === undefined ? "" : `, ${min} to ${max}`;
  const more = type === "seed" ? SEED_LISTS : range;
  const lines = wrapped(`${help}${more} (default: ${DEFAULTS[name] ?? value})`);
  // A long option has a line of its own.
  const first = option.length < COLUMN ? `${option.padEnd(COLUMN)}${lines.shift()}` : option;
  return [first, ...lines.map((line) => " ".repeat(COLUMN) + line)].join("\n");
}

/** Lines of a text beside the options. */
function wrapped(text: string): string[] {
  return text.match(new RegExp(`\\S.{0,${WIDTH - COLUMN - 1}}(?=\\s|$)`, "g")) ?? [];
}
