"""Makes the golden runs of the embedded model, tests/fixtures/default_model, anew:

    python3 evaluation/golden/default_model.py weights tests/fixtures/default_model
    python3 evaluation/golden/default_model.py <model folder> <folder of golden runs> --check

It restates the arithmetic of diffusers 0.9.0's VQDiffusionPipeline in PyTorch, which is all it needs, on
weights widened to float32, since no version of diffusers reads these int8 weights. `--check` only
compares with runs that are there, such as those that diffusers itself made with the same model in fp16.
"""

import json
import math
import re
import struct
import sys

import numpy
import torch
import torch.nn.functional as F


def read_json(path):
    with open(path) as file:
        return json.load(file)


def read_arrays(path):
    """The arrays of a safetensors file."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        content = bytearray(file.read())
    types = {"F32": torch.float32, "F16": torch.float16, "I8": torch.int8, "I32": torch.int32}
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            values = torch.frombuffer(content[begin:end], dtype=types[entry["dtype"]])
            arrays[name] = values.reshape(entry["shape"])
    return arrays


def read_weights(path):
    """Weights in float32: those in int8 have a scale for each row."""
    arrays = {name: values.float() for name, values in read_arrays(path).items()}
    scales = [name for name in arrays if name.endswith("_scale")]
    for name in scales:
        weight = name.removesuffix("_scale")
        shape = [-1] + [1] * (arrays[weight].dim() - 1)
        arrays[weight] = arrays[weight] * arrays.pop(name).reshape(shape)
    return arrays


def write_arrays(path, arrays):
    types = {torch.float32: "F32", torch.int32: "I32", torch.uint8: "U8"}
    header, offset = {}, 0
    for name, values in arrays.items():
        size = values.numel() * values.element_size()
        offsets = [offset, offset + size]
        header[name] = {"dtype": types[values.dtype], "shape": list(values.shape), "data_offsets": offsets}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in arrays.values():
            file.write(values.contiguous().numpy().tobytes())


class Tokenizer:
    """CLIP's byte-pair encoding, for prompts in plain ASCII."""

    def __init__(self, folder, length):
        self.length = length
        self.ids = read_json(f"{folder}/vocab.json")
        with open(f"{folder}/merges.txt") as file:
            pairs = [tuple(line.split()) for line in file.read().split("\n")[1:] if line]
        self.ranks = {pair: rank for rank, pair in enumerate(pairs)}

    def encode(self, prompt):
        words = re.findall(r"[a-z]+|[0-9]|[^\sa-z0-9]+", prompt.lower())
        ids = [self.ids[part] for word in words for part in self.parts(word)][: self.length - 2]
        end = self.ids["<|endoftext|>"]
        ids = [self.ids["<|startoftext|>"], *ids, end]
        return ids + [end] * (self.length - len(ids))

    def parts(self, word):
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            ranks = [self.ranks.get(pair, math.inf) for pair in zip(parts, parts[1:])]
            if min(ranks) == math.inf:
                break
            first = ranks.index(min(ranks))
            parts[first : first + 2] = [parts[first] + parts[first + 1]]
        return parts


class Network:
    """Layers by the names of their weights."""

    def __init__(self, folder, file="diffusion_pytorch_model.safetensors"):
        self.config = read_json(f"{folder}/config.json")
        self.weights = read_weights(f"{folder}/{file}")

    def linear(self, name, x):
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def conv(self, name, x):
        weight = self.weights[f"{name}.weight"]
        return F.conv2d(x, weight, self.weights[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def layer_norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def group_norm(self, name, x):
        return F.group_norm(x, 32, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], eps=1e-6)


def attend(q, k, v, heads, mask=None):
    """softmax(q·kᵀ / √columns + mask)·v for (batch, length, columns)."""

    def split(x):
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)

    q, k, v = split(q), split(k), split(v)
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if mask is not None:
        scores = scores + mask
    return (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(-2)


def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


class TextEncoder(Network):
    def __init__(self, folder):
        super().__init__(folder, "model.safetensors")

    def encode(self, ids):
        name, heads = "text_model", self.config["num_attention_heads"]
        x = F.embedding(ids, self.weights[f"{name}.embeddings.token_embedding.weight"])
        x = x + self.weights[f"{name}.embeddings.position_embedding.weight"][: ids.shape[1]]
        mask = torch.full((ids.shape[1], ids.shape[1]), -math.inf).triu(1)
        for i in range(self.config["num_hidden_layers"]):
            layer = f"{name}.encoder.layers.{i}"
            y = self.layer_norm(f"{layer}.layer_norm1", x)
            q, k, v = (self.linear(f"{layer}.self_attn.{part}_proj", y) for part in "qkv")
            x = x + self.linear(f"{layer}.self_attn.out_proj", attend(q, k, v, heads, mask))
            y = self.linear(f"{layer}.mlp.fc1", self.layer_norm(f"{layer}.layer_norm2", x))
            x = x + self.linear(f"{layer}.mlp.fc2", quick_gelu(y))
        return self.layer_norm(f"{name}.final_layer_norm", x)


class Transformer(Network):
    def log_probs(self, tokens, context, timestep):
        """log p(x0): (batch, classes - 1, pixels)."""
        name = "latent_image_embedding"
        rows = self.weights[f"{name}.height_emb.weight"][:, None]
        columns = self.weights[f"{name}.width_emb.weight"][None]
        x = F.embedding(tokens, self.weights[f"{name}.emb.weight"]) + (rows + columns).flatten(0, 1)
        for i in range(self.config["num_layers"]):
            block = f"transformer_blocks.{i}"
            y = self.ada_layer_norm(f"{block}.norm1", x, timestep)
            x = self.attention(f"{block}.attn1", y, y) + x
            y = self.ada_layer_norm(f"{block}.norm2", x, timestep)
            x = self.attention(f"{block}.attn2", y, context) + x
            y = self.linear(f"{block}.ff.net.0.proj", self.layer_norm(f"{block}.norm3", x))
            x = self.linear(f"{block}.ff.net.2", quick_gelu(y)) + x
        logits = self.linear("out", self.layer_norm("norm_out", x)).transpose(1, 2)
        return F.log_softmax(logits.double(), dim=1).float()

    def attention(self, name, x, context):
        q = self.linear(f"{name}.to_q", x)
        k, v = self.linear(f"{name}.to_k", context), self.linear(f"{name}.to_v", context)
        return self.linear(f"{name}.to_out.0", attend(q, k, v, self.config["num_attention_heads"]))

    def ada_layer_norm(self, name, x, timestep):
        embedded = self.weights[f"{name}.emb.weight"][timestep]
        scale, shift = self.linear(f"{name}.linear", F.silu(embedded)).chunk(2)
        return F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift


class Decoder(Network):
    def decode(self, tokens):
        """Tokens (batch, pixels) → images (batch, height, width, 3), 0…1."""
        side = math.isqrt(tokens.shape[1])
        x = F.embedding(tokens, self.weights["quantize.embedding.weight"])
        x = x.unflatten(1, (side, side)).permute(0, 3, 1, 2)
        x = self.conv("decoder.conv_in", self.conv("post_quant_conv", x))
        x = self.residual("decoder.mid_block.resnets.0", x)
        x = self.attention("decoder.mid_block.attentions.0", x)
        x = self.residual("decoder.mid_block.resnets.1", x)
        for level in range(len(self.config["block_out_channels"])):
            name = f"decoder.up_blocks.{level}"
            for layer in range(self.config["layers_per_block"] + 1):
                x = self.residual(f"{name}.resnets.{layer}", x)
            if f"{name}.upsamplers.0.conv.weight" in self.weights:
                x = self.conv(f"{name}.upsamplers.0.conv", F.interpolate(x, scale_factor=2.0, mode="nearest"))
        x = self.conv("decoder.conv_out", F.silu(self.group_norm("decoder.conv_norm_out", x)))
        return (x / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)

    def residual(self, name, x):
        y = self.conv(f"{name}.conv1", F.silu(self.group_norm(f"{name}.norm1", x)))
        y = self.conv(f"{name}.conv2", F.silu(self.group_norm(f"{name}.norm2", y)))
        if f"{name}.conv_shortcut.weight" in self.weights:
            x = self.conv(f"{name}.conv_shortcut", x)
        return x + y

    def attention(self, name, x):
        rows = self.group_norm(f"{name}.group_norm", x).flatten(2).transpose(1, 2)
        q, k, v = (self.linear(f"{name}.{part}", rows) for part in ("query", "key", "value"))
        mixed = self.linear(f"{name}.proj_attn", attend(q, k, v, heads=1))
        return mixed.transpose(1, 2).reshape(x.shape) + x


class Scheduler:
    """diffusers' VQDiffusionScheduler."""

    def __init__(self, folder):
        config = read_json(f"{folder}/scheduler_config.json")
        self.classes, steps = config["num_vec_classes"], config["num_train_timesteps"]
        self.mask = self.classes - 1

        def ramp(name):
            start, end = config[f"{name}_cum_start"], config[f"{name}_cum_end"]
            return numpy.arange(0, steps) / (steps - 1) * (end - start) + start

        kept = numpy.concatenate(([1], ramp("alpha")))
        unmasked = 1 - numpy.concatenate(([0], ramp("gamma")))
        self.single = self.logs(kept[1:] / kept[:-1], 1 - unmasked[1:] / unmasked[:-1])
        # The entry after the last timestep is that before the first one.
        self.cumulative = self.logs(numpy.append(kept[1:], 1), 1 - numpy.append(unmasked[1:], 1))

    def logs(self, keep, mask):
        """log of keeping a token, of changing it to a certain other, and of masking it."""
        change = (1 - keep - mask) / (self.classes - 1)
        return [torch.log(torch.tensor(rates)).float() for rates in (keep, change, mask)]

    def transitions(self, rates, timestep, tokens, one_hot):
        """log q(x_t | x = k) for every class k but the mask."""
        a, b, c = (rate[timestep] for rate in rates)
        return torch.where((tokens == self.mask)[:, None], c, (one_hot[:, :-1] + a).logaddexp(b))

    def posterior(self, log_p, tokens, timestep):
        one_hot = F.one_hot(tokens, self.classes).permute(0, 2, 1).float().clamp(min=1e-30).log()
        q = log_p - self.transitions(self.cumulative, timestep, tokens, one_hot)
        log_sum = torch.logsumexp(q, dim=1, keepdim=True)
        a, b, c = (rate[timestep - 1] for rate in self.cumulative)
        q = (q - log_sum + a).logaddexp(b)
        q = torch.cat((q, c.expand(len(q), 1, q.shape[2])), dim=1)
        before = self.transitions(self.single, timestep, tokens, one_hot)
        return q + torch.cat((before, one_hot[:, -1:]), dim=1) + log_sum

    def step(self, log_p, tokens, timestep, generator):
        log_p = self.posterior(log_p, tokens, timestep) if timestep > 0 else log_p
        uniform = torch.rand(log_p.shape, generator=generator)
        gumbel = -torch.log(-torch.log(uniform + 1e-30) + 1e-30)
        return (gumbel + log_p).argmax(dim=1)


def truncate(log_p, rate):
    ordered, order = torch.sort(log_p, 1, descending=True)
    keep = ordered.exp().cumsum(dim=1) < rate
    keep = torch.cat((torch.full_like(keep[:, :1], True), keep[:, :-1]), dim=1)
    return log_p.masked_fill(~keep.gather(1, order.argsort(1)), -math.inf)


class Pipeline:
    def __init__(self, folder):
        self.text_encoder = TextEncoder(f"{folder}/text_encoder")
        length = self.text_encoder.config["max_position_embeddings"]
        self.tokenizer = Tokenizer(f"{folder}/tokenizer", length)
        self.transformer = Transformer(f"{folder}/transformer")
        self.decoder = Decoder(f"{folder}/vqvae")
        self.scheduler = Scheduler(f"{folder}/scheduler")
        self.empty = Network(f"{folder}/learned_classifier_free_sampling_embeddings").weights["embeddings"]

    def embeddings(self, prompts, images, guided):
        ids = torch.tensor([self.tokenizer.encode(prompt) for prompt in prompts])
        encoded = self.text_encoder.encode(ids)
        encoded = encoded / encoded.norm(dim=-1, keepdim=True)
        encoded = encoded.repeat_interleave(images, dim=0)
        return torch.cat((self.empty.expand_as(encoded), encoded)) if guided else encoded

    def run(self, run):
        """Tokens after every step (steps, batch, pixels), and images."""
        prompts = [run["prompt"]] if isinstance(run["prompt"], str) else run["prompt"]
        scale = run["guidance_scale"]
        context = self.embeddings(prompts, run["num_images_per_prompt"], scale > 1)
        batch = len(prompts) * run["num_images_per_prompt"]
        pixels = self.transformer.config["sample_size"] ** 2
        tokens = torch.full((batch, pixels), self.scheduler.mask)
        generator = torch.Generator("cpu").manual_seed(run["generator_seed"])
        steps = []
        for timestep in reversed(range(run["num_inference_steps"])):
            repeated = torch.cat((tokens, tokens)) if scale > 1 else tokens
            log_p = self.transformer.log_probs(repeated, context, timestep)
            if scale > 1:
                empty, prompted = log_p.chunk(2)
                log_p = empty + scale * (prompted - empty)
                log_p = log_p - torch.logsumexp(log_p, dim=1, keepdim=True)
            log_p = truncate(log_p, run["truncation_rate"]).clamp(min=-70)
            tokens = self.scheduler.step(log_p, tokens, timestep, generator)
            steps.append(tokens)
        image = self.decoder.decode(tokens)
        return {"tokens": torch.stack(steps).int(), "image": image, "bytes": (image * 255).round().byte()}


def main(model, golden, *options):
    pipeline = Pipeline(model)
    for name, run in read_json(f"{golden}/case.json")["runs"].items():
        made = pipeline.run(run)
        path = f"{golden}/{name}.safetensors"
        if "--check" not in options:
            write_arrays(path, {array: made[array] for array in run["arrays"]})
            continue
        stored = read_arrays(path)
        equal = int((stored["tokens"] == made["tokens"]).sum())
        print(f"{name}: {equal} of {made['tokens'].numel()} tokens equal")
        if "image" in stored:
            difference = float((stored["image"] - made["image"]).abs().max())
            print(f"{name}: largest difference of images {difference:.1e}")


if "--help" in sys.argv or "-h" in sys.argv or not 3 <= len(sys.argv) <= 4:
    print(__doc__)
    sys.exit(0 if "--help" in sys.argv or "-h" in sys.argv else 2)
with torch.inference_mode():
    main(*sys.argv[1:])
