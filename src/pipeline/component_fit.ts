/**
 * Whether the components of a pipeline fit each other.
 *
 * @module
 */

import { checkOptions, describeValue, refuseType } from "../base/check.ts";
import { COMPONENT_NAMES, componentNamesOf, type PipelineParts } from "./components.ts";
import { checkGenerationConfig } from "./generation_config.ts";

const TASK = "make a pipeline";

/**
 * Checks what a caller makes a pipeline of.
 *
 * @throws {TypeError} If there is no transformer or scheduler, or something else among them.
 * @throws {RangeError} If components do not fit each other.
 */
export function checkParts(components: PipelineParts): void {
  checkOptions(TASK, components, [...COMPONENT_NAMES, "generationConfig"]);
  const { transformer, scheduler } = components;
  if (typeof transformer?.recordContext !== "function") {
    refuseType({ task: TASK, name: "transformer" }, transformer, "a Transformer2DModel");
  }
  if (typeof scheduler?.plan !== "function" || typeof scheduler.recordStep !== "function") {
    refuseType(
      { task: TASK, name: "scheduler" },
      scheduler,
      "a scheduler with plan and recordStep",
    );
  }
  checkGenerationConfig(TASK, components.generationConfig);
  checkFit(components);
}

/**
 * Checks that components are on one device, and the sizes that they share.
 *
 * @throws {RangeError} If they do not fit each other.
 */
export function checkFit(components: PipelineParts): void {
  checkBackends(components);
  checkKind(components);
  checkTransformer(components);
  checkText(components);
}

function checkBackends({ transformer, ...others }: PipelineParts): void {
  const models = {
    vqvae: others.vqvae,
    textEncoder: others.textEncoder,
    learnedClassifierFreeSamplingEmbeddings: others.learnedClassifierFreeSamplingEmbeddings,
  };
  for (const [name, model] of Object.entries(models)) {
    if (model === undefined || model.backend === transformer.backend) continue;
    refuse(
      `${name} is on another backend (${model.backend.device.name}) than the transformer ` +
        `(${transformer.backend.device.name}), expected one backend`,
    );
  }
}

/** Checks the sizes that the transformer shares with all others. */
function checkTransformer(components: PipelineParts): void {
  const { vqvae, textEncoder, transformer, scheduler } = components;
  const learned = components.learnedClassifierFreeSamplingEmbeddings;
  const { numVectorEmbeds, crossAttentionDim, numEmbedsAdaNorm } = transformer.config;
  const { numTrainTimesteps, numVecClasses } = scheduler.config;
  const classes = "the transformer's num_vector_embeds";
  expectEqual(classes, numVectorEmbeds, "the scheduler's num_vec_classes", numVecClasses);
  if (vqvae !== undefined) {
    const { numVqEmbeddings, outChannels } = vqvae.config;
    const codes = "the VQ model's num_vq_embeddings and a mask";
    expectEqual(classes, numVectorEmbeds, codes, numVqEmbeddings + 1);
    if (outChannels !== 3) {
      refuse(`the VQ model gives images of ${outChannels} channels, expected 3`);
    }
  }
  const columns = "the transformer's cross_attention_dim";
  if (textEncoder !== undefined) {
    const { hiddenSize } = textEncoder.config;
    expectEqual(columns, crossAttentionDim, "the text encoder's hidden_size", hiddenSize);
  }
  if (learned?.config.learnable) {
    const { hiddenSize } = learned.config;
    expectEqual("the learned embeddings' hidden_size", hiddenSize!, columns, crossAttentionDim);
  }
  if (numTrainTimesteps > numEmbedsAdaNorm) {
    refuse(
      `the scheduler has ${numTrainTimesteps} timesteps, the transformer knows ${numEmbedsAdaNorm}`,
    );
  }
}

/** Checks that ids and lengths of the tokenizer suit those who take them. */
function checkText(components: PipelineParts): void {
  const { tokenizer, textEncoder } = components;
  if (tokenizer === undefined) return;
  const { modelMaxLength } = tokenizer;
  const learned = components.learnedClassifierFreeSamplingEmbeddings?.config;
  if (learned?.learnable) {
    const what = "the learned embeddings' length";
    expectEqual(what, learned.length!, "the tokenizer's model_max_length", modelMaxLength);
  }
  if (textEncoder === undefined) return;
  const { maxPositionEmbeddings, vocabSize } = textEncoder.config;
  if (modelMaxLength > maxPositionEmbeddings) {
    refuse(
      `the tokenizer gives up to ${modelMaxLength} tokens, the text encoder takes ` +
        `${maxPositionEmbeddings}`,
    );
  }
  const { id, content } = tokenizer.lastToken;
  if (id >= vocabSize) {
    refuse(
      `the tokenizer gives ids up to ${id}, the text encoder knows ${vocabSize} tokens; id ${id} is ` +
        describeValue(content),
    );
  }
}

/** Checks that nothing is there that the model would not look at. */
function checkKind(components: PipelineParts): void {
  const { config } = components.transformer;
  const names = componentNamesOf(config);
  const other = COMPONENT_NAMES.find((name) => !names.includes(name) && components[name]);
  if (other === undefined) return;
  const kind = config.conditionType === "class" ? "draws from classes" : "is unconditional";
  refuse(`the transformer ${kind}, expected no ${other}`);
}

function expectEqual(first: string, value: number, second: string, other: number): void {
  if (value !== other) refuse(`${first} is ${value}, but ${second} is ${other}`);
}

function refuse(message: string): never {
  throw new RangeError(`Cannot ${TASK}: ${message}`);
}
