/**
 * A network that tells pictures from their reconstructions, patch by patch.
 *
 * @module
 */

import type { Backend, Frame, Tensor } from "../backends/backend.ts";
import { openSafetensors } from "../checkpoints/safetensors.ts";
import { memoryFile } from "../files/memory_folder.ts";
import { Conv2d } from "../models/layers.ts";
import { ParameterScope } from "../models/parameters.ts";
import type { Seed } from "../random/seed.ts";
import { TorchGenerator } from "../random/torch_generator.ts";
import { randomWeights } from "./random_weights.ts";
import { TrainableParameters } from "./trainable_parameters.ts";

/** Channels of the layers, each of which halves height and width. */
const CHANNELS = [32, 64, 128] as const;

/** What a {@linkcode PatchCritic} makes of images. */
export interface Criticism {
  /** A score for each patch (batch, height / 8, width / 8, 1): 1 for pictures, 0 for reconstructions. */
  readonly scores: Tensor;
  /** What the layers below see, from the largest to the smallest. */
  readonly features: readonly Tensor[];
}

/**
 * The patch discriminator of Isola et al. (arXiv 1611.07004, section 3.2.2): convolutions of 3 × 3 that halve
 * height and width, and SiLU. A score depends on 31 × 31 pixels. There are no norms: no image changes the score
 * of another, and no bright spot those of all patches.
 */
export class PatchCritic implements Disposable {
  /** Its parameters, which are to be recorded on a frame before it is. */
  readonly parameters: TrainableParameters;
  readonly #layers: CriticLayers;

  private constructor(parameters: TrainableParameters, inChannels: number) {
    this.parameters = parameters;
    this.#layers = new CriticLayers(new ParameterScope(parameters), inChannels);
  }

  /** Makes one with random weights, for images of so many channels. */
  static async create(backend: Backend, inChannels: number, seed: Seed): Promise<PatchCritic> {
    const declare = (scope: ParameterScope) => void new CriticLayers(scope, inChannels);
    const weights = randomWeights(declare, new TorchGenerator(seed));
    const critic = new PatchCritic(new TrainableParameters(), inChannels);
    await using source = await openSafetensors(memoryFile("a new critic", weights));
    await critic.parameters.load(backend, source);
    return critic;
  }

  /** Records it for images (batch, height, width, inChannels), which are as they were afterwards. */
  record(frame: Frame, images: Tensor): Criticism {
    return this.#layers.forward(frame, images);
  }

  /** Gives the memory back. */
  dispose(): void {
    this.parameters.dispose();
  }

  /** Gives the memory back. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

class CriticLayers {
  readonly #convs: readonly Conv2d[];
  readonly #convOut: Conv2d;

  constructor(scope: ParameterScope, inChannels: number) {
    this.#convs = CHANNELS.map((channels, i) =>
      new Conv2d(scope.at(`convs.${i}`), CHANNELS[i - 1] ?? inChannels, channels, 3, { stride: 2 })
    );
    this.#convOut = new Conv2d(scope.at("conv_out"), CHANNELS.at(-1)!, 1, 3);
  }

  forward(frame: Frame, images: Tensor): Criticism {
    const features: Tensor[] = [];
    for (const conv of this.#convs) {
      const x = conv.forward(frame, features.at(-1) ?? images);
      features.push(frame.activate(x, "silu"));
    }
    return { scores: this.#convOut.forward(frame, features.at(-1)!), features };
  }
}
