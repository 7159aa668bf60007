/**
 * All that a trainer's next steps depend on, as arrays by name.
 *
 * @module
 */

import { elementCount } from "../base/shapes.ts";
import type { TorchGenerator } from "../random/torch_generator.ts";
import type { ExponentialMovingAverage } from "./ema.ts";
import type { LearningRate } from "./learning_rate.ts";
import type { Optimizer } from "./optimizer.ts";
import type { TimestepSampler } from "./timestep_sampler.ts";
import type { TrainableModel } from "./trainable_model.ts";
import { readParameters } from "./read_ahead.ts";
import type { TrainableTensor } from "./trainable_parameters.ts";

/** What is known of a step. */
export interface TrainingStep {
  /** Its number, from 1 on. */
  readonly step: number;
  /** The loss, per token. */
  readonly loss: number;
  /** The norm of all gradients before it was cut. */
  readonly gradNorm: number;
  /** The learning rate of the step. */
  readonly learningRate: number;
}

/** What changes from step to step. */
export interface TrainerParts {
  /** Changes the parameters. */
  readonly optimizer: Optimizer;
  /** What is saved of them. */
  readonly average: ExponentialMovingAverage;
  /** Draws timesteps. */
  readonly timesteps: TimestepSampler;
  /** The learning rate of the next step. */
  readonly learningRate: LearningRate;
  /** Draws timesteps, noise and dropped captions. */
  readonly generator: TorchGenerator;
  /** The steps so far. */
  readonly history: TrainingStep[];
}

/** An array of a state. */
export type StateArray = Float32Array | Float64Array | Uint32Array;

/** Arrays by name. */
export type StateArrays = ReadonlyMap<string, StateArray>;

/** What optimisers remember. */
const MEMORIES = ["first", "second", "momentum"] as const;

/** Names of the numbers that are known of a step. */
const STEP_NUMBERS = ["loss", "gradNorm", "learningRate"] as const;

/** The state of a trainer. Arrays that change with the next step are copies. */
export async function stateOf(model: TrainableModel, parts: TrainerParts): Promise<StateArrays> {
  const { optimizer, average, timesteps, learningRate, generator, history } = parts;
  const state = await tensorState(model.tensors, optimizer);
  for (const [name, tensor] of model.tensors) {
    state.set(`average.${name}`, average.averages.get(tensor)!.slice());
  }
  state.set("learningRate", Float64Array.from(learningRate.state));
  state.set("timesteps.history", timesteps.history.slice());
  state.set("timesteps.counts", timesteps.counts.slice());
  state.set("generator", generator.getState());
  for (const kind of STEP_NUMBERS) {
    state.set(`history.${kind}`, Float64Array.from(history, (step) => step[kind]));
  }
  return state;
}

/**
 * Gives a trainer a state.
 *
 * @throws {TypeError} If an array is missing or of another size; then nothing has been changed.
 */
export function restoreTrainer(
  model: TrainableModel,
  parts: TrainerParts,
  state: StateArrays,
): void {
  const { optimizer, average, timesteps, learningRate, generator, history } = parts;
  const restoreTensors = readTensorState(model.tensors, state);
  const averages = new Map<TrainableTensor, Float32Array>();
  for (const [name, tensor] of model.tensors) {
    averages.set(tensor, floats(state, `average.${name}`, average.averages.get(tensor)!.length));
  }
  const rate = numbers(state, "learningRate");
  const [sampled, counts] = [
    floats(state, "timesteps.history", timesteps.history.length),
    floats(state, "timesteps.counts", timesteps.counts.length),
  ];
  const words = state.get("generator");
  if (!(words instanceof Uint32Array)) throw missing("generator");
  const past = stepsOf(state);

  generator.setState(words);
  restoreTensors(optimizer);
  average.restore(averages);
  learningRate.state = [...rate];
  timesteps.history.set(sampled);
  timesteps.counts.set(counts);
  history.splice(0, history.length, ...past);
}

/** Parameters, and what an optimiser remembers of them. */
export async function tensorState(
  tensors: ReadonlyMap<string, TrainableTensor>,
  optimizer: Optimizer,
): Promise<Map<string, StateArray>> {
  const state = new Map<string, StateArray>();
  const { memory } = optimizer;
  const named = Array.from(tensors, ([name, parameter]) => ({ name, parameter }));
  for await (const [{ name, parameter }, values] of readParameters(named)) {
    state.set(`parameter.${name}`, values);
    for (const [kind, values] of Object.entries(memory.get(parameter) ?? {})) {
      state.set(`optimizer.${kind}.${name}`, values.slice());
    }
  }
  return state.set("optimizer.steps", Float64Array.of(optimizer.steps));
}

/**
 * Reads what {@linkcode tensorState} gave.
 *
 * @returns Gives it to the parameters and to an optimiser.
 * @throws {TypeError} If an array is missing or of another size.
 */
export function readTensorState(
  tensors: ReadonlyMap<string, TrainableTensor>,
  state: StateArrays,
): (optimizer: Optimizer) => void {
  const memory = new Map<TrainableTensor, Record<string, Float32Array>>();
  const parameters = new Map<TrainableTensor, Float32Array>();
  for (const [name, parameter] of tensors) {
    const size = elementCount(parameter.tensor.shape);
    parameters.set(parameter, floats(state, `parameter.${name}`, size));
    const kinds = MEMORIES.filter((kind) => state.has(`optimizer.${kind}.${name}`));
    const arrays = kinds.map((kind) =>
      [kind, floats(state, `optimizer.${kind}.${name}`, size)] as const
    );
    if (kinds.length > 0) memory.set(parameter, Object.fromEntries(arrays));
  }
  const [steps] = numbers(state, "optimizer.steps");
  return (optimizer) => {
    for (const [{ tensor }, values] of parameters) tensor.write(values);
    optimizer.restore(steps!, memory);
  };
}

function stepsOf(state: StateArrays): TrainingStep[] {
  const [loss, gradNorm, learningRate] = STEP_NUMBERS.map((kind) =>
    numbers(state, `history.${kind}`)
  ) as [Float64Array, Float64Array, Float64Array];
  return Array.from(loss, (value, i) => ({
    step: i + 1,
    loss: value,
    gradNorm: gradNorm[i]!,
    learningRate: learningRate[i]!,
  }));
}

/** An array of a state that has to be there in this size, as a copy. */
export function floats(state: StateArrays, name: string, size: number): Float32Array {
  const array = state.get(name);
  if (!(array instanceof Float32Array) || array.length !== size) throw missing(name);
  return array.slice();
}

/** Numbers of a state that have to be there. */
export function numbers(state: StateArrays, name: string): Float64Array {
  const array = state.get(name);
  if (!(array instanceof Float64Array)) throw missing(name);
  return array;
}

/** The error for an array of a state that is not there. */
export function missing(name: string): TypeError {
  return new TypeError(
    `Cannot go on with the training: its state has no array ${name} that fits, expected the state of ` +
      `the same model`,
  );
}
