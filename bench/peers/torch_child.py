# The transformer, the decoder and the sampling step of VQ-Diffusion in plain operations of PyTorch, those
# that diffusers 0.9.0 uses, and training, told by `PeerProcess`:
#
#     python torch_child.py <task folder> <threads>

import json
import struct
import sys
import time

import torch
import torch.nn.functional as F

import torch_training


def load(path):
    """The arrays of a safetensors file."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        content = bytearray(file.read())
    types = {"F32": torch.float32, "I32": torch.int32}
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            values = torch.frombuffer(memoryview(content)[begin:end], dtype=types[entry["dtype"]])
            arrays[name] = values.reshape(entry["shape"])
    return arrays


class Network:
    """Layers by the names of their weights."""

    def __init__(self, weights):
        self.weights = weights

    def linear(self, name, x):
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def layer_norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def ada_layer_norm(self, name, x, timestep):
        embedded = F.embedding(timestep, self.weights[f"{name}.emb.weight"])
        scale, shift = self.linear(f"{name}.linear", F.silu(embedded)).chunk(2, dim=-1)
        return F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift

    def group_norm(self, name, x):
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return F.group_norm(x, 32, weight, bias, eps=1e-6)

    def conv(self, name, x):
        weight = self.weights[f"{name}.weight"]
        return F.conv2d(x, weight, self.weights[f"{name}.bias"], padding=weight.shape[-1] // 2)


def attend(q, k, v, heads):
    """softmax(q·kᵀ / √columns)·v for (batch, length, columns)."""
    batch, length, width = q.shape

    def split(x):
        columns = width // heads
        return x.reshape(batch, -1, heads, columns).transpose(1, 2).reshape(batch * heads, -1, columns)

    q, k, v = split(q), split(k), split(v)
    empty = torch.empty(q.shape[0], q.shape[1], k.shape[1])
    scores = torch.baddbmm(empty, q, k.transpose(1, 2), beta=0, alpha=q.shape[-1] ** -0.5)
    mixed = torch.bmm(scores.softmax(dim=-1), v)
    return mixed.reshape(batch, heads, length, -1).transpose(1, 2).reshape(batch, length, width)


class Transformer(Network):
    def __init__(self, weights, sizes, attend=attend):
        super().__init__(weights)
        self.sizes = sizes
        self.attend = attend

    def attention(self, name, x, context):
        q = self.linear(f"{name}.to_q", x)
        k, v = self.linear(f"{name}.to_k", context), self.linear(f"{name}.to_v", context)
        return self.linear(f"{name}.to_out.0", self.attend(q, k, v, self.sizes["heads"]))

    def block(self, name, x, context, timestep):
        normed = self.ada_layer_norm(f"{name}.norm1", x, timestep)
        x = self.attention(f"{name}.attn1", normed, normed) + x
        normed = self.ada_layer_norm(f"{name}.norm2", x, timestep)
        x = self.attention(f"{name}.attn2", normed, context) + x
        hidden = self.linear(f"{name}.ff.net.0.proj", self.layer_norm(f"{name}.norm3", x))
        return self.linear(f"{name}.ff.net.2", hidden * torch.sigmoid(1.702 * hidden)) + x

    def logits(self, sample, context, timestep):
        name, side = "latent_image_embedding", self.sizes["side"]
        rows = self.weights[f"{name}.height_emb.weight"].unsqueeze(1)
        columns = self.weights[f"{name}.width_emb.weight"].unsqueeze(0)
        x = F.embedding(sample, self.weights[f"{name}.emb.weight"])
        x = x + (rows + columns).reshape(side * side, -1)
        for i in range(self.sizes["layers"]):
            x = self.block(f"transformer_blocks.{i}", x, context, timestep)
        return self.linear("out", self.layer_norm("norm_out", x))

    def step(self, sample, context, timestep):
        logits = self.logits(sample, context, timestep)
        return F.log_softmax(logits.double(), dim=-1).float()


class Decoder(Network):
    def residual(self, name, x):
        hidden = self.conv(f"{name}.conv1", F.silu(self.group_norm(f"{name}.norm1", x)))
        hidden = self.conv(f"{name}.conv2", F.silu(self.group_norm(f"{name}.norm2", hidden)))
        if f"{name}.conv_shortcut.weight" in self.weights:
            x = self.conv(f"{name}.conv_shortcut", x)
        return x + hidden

    def attention(self, name, x):
        batch, channels, height, width = x.shape
        rows = self.group_norm(f"{name}.group_norm", x).reshape(batch, channels, -1).transpose(1, 2)
        q, k, v = (self.linear(f"{name}.{part}", rows) for part in ("query", "key", "value"))
        mixed = self.linear(f"{name}.proj_attn", attend(q, k, v, heads=1))
        return mixed.transpose(1, 2).reshape(batch, channels, height, width) + x

    def decode(self, indices):
        """Indices (1, pixels) → image (1, height, width, 3)."""
        side = int(indices.shape[1] ** 0.5)
        codes = F.embedding(indices, self.weights["quantize.embedding.weight"])
        x = codes.reshape(1, side, side, -1).permute(0, 3, 1, 2)
        x = self.conv("decoder.conv_in", self.conv("post_quant_conv", x))
        x = self.residual("decoder.mid_block.resnets.0", x)
        x = self.attention("decoder.mid_block.attentions.0", x)
        x = self.residual("decoder.mid_block.resnets.1", x)
        level = 0
        while f"decoder.up_blocks.{level}.resnets.0.conv1.weight" in self.weights:
            x = self.level(f"decoder.up_blocks.{level}", x)
            level += 1
        x = self.conv("decoder.conv_out", F.silu(self.group_norm("decoder.conv_norm_out", x)))
        return x.permute(0, 2, 3, 1)

    def level(self, name, x):
        layer = 0
        while f"{name}.resnets.{layer}.conv1.weight" in self.weights:
            x = self.residual(f"{name}.resnets.{layer}", x)
            if f"{name}.attentions.{layer}.query.weight" in self.weights:
                x = self.attention(f"{name}.attentions.{layer}", x)
            layer += 1
        if f"{name}.upsamplers.0.conv.weight" in self.weights:
            x = self.conv(f"{name}.upsamplers.0.conv", F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return x


class Sampler:
    """Truncation, posterior, Gumbel noise and argmax of (1, classes, pixels)."""

    def __init__(self, inputs, sizes):
        self.log_probs = inputs["logProbs"].transpose(1, 2).contiguous()
        self.latents = inputs["latents"].long()
        self.mask = sizes["classes"] - 1
        self.classes = sizes["classes"]
        self.truncation_rate = sizes["truncationRate"]
        timestep = sizes["timestep"]
        self.single = inputs["schedule"][timestep][:3]
        self.cumulative = inputs["schedule"][timestep][3:]
        self.cumulative_before = inputs["schedule"][timestep - 1][3:]
        self.seed = sizes["seed"]
        self.generator = torch.Generator("cpu")
        self.generator.manual_seed(self.seed)

    def truncate(self, log_probs):
        ordered, order = torch.sort(log_probs, 1, descending=True)
        keep = torch.exp(ordered).cumsum(dim=1) < self.truncation_rate
        # Whatever the rate, the most probable class stays: the mask moves down by one.
        keep = torch.cat((torch.full_like(keep[:, :1], True), keep[:, :-1]), dim=1)
        keep = keep.gather(1, order.argsort(1))
        return log_probs.masked_fill(~keep, -torch.inf)

    def transitions(self, one_hot, schedule):
        """log q(x_t | x_0 = k) for every class k but the mask."""
        a, b, c = schedule
        log_q = (one_hot[:, :-1] + a).logaddexp(b)
        return torch.where((self.latents == self.mask).unsqueeze(1), c, log_q)

    def posterior(self, log_probs):
        one_hot = F.one_hot(self.latents, self.classes).permute(0, 2, 1)
        one_hot = torch.log(one_hot.float().clamp(min=1e-30))
        from_start = self.transitions(one_hot, self.cumulative)
        from_before = self.transitions(one_hot, self.single)
        # A mask stays a mask, and only that becomes it here.
        from_before = torch.cat((from_before, one_hot[:, -1:]), dim=1)
        q = log_probs - from_start
        log_sum = torch.logsumexp(q, dim=1, keepdim=True)
        a, b, c = self.cumulative_before
        spread = (q - log_sum + a).logaddexp(b)
        spread = torch.cat((spread, c.expand(1, 1, spread.shape[2])), dim=1)
        return spread + from_before + log_sum

    def sample_anew(self):
        self.generator.manual_seed(self.seed)
        return self.sample()

    def sample(self):
        log_probs = self.truncate(self.log_probs).clamp(min=-70)
        log_posterior = self.posterior(log_probs)
        uniform = torch.rand(log_posterior.shape, generator=self.generator)
        gumbel = -torch.log(-torch.log(uniform + 1e-30) + 1e-30)
        return (gumbel + log_posterior).argmax(dim=1)


def make_run(task, inputs, folder):
    """The function to measure, and the one that gives the result to compare."""
    kind, sizes = task["kind"], task["sizes"]
    if kind == "scheduler":
        sampler = Sampler(inputs, sizes)
        return sampler.sample, sampler.sample_anew
    weights = load(f"{folder}/weights.safetensors")
    if kind == "training":
        transformer = Transformer(weights, sizes, torch_training.attend)
        training = torch_training.Training(transformer, inputs, sizes)
        return training.step, training.first_step
    run = make_inference(kind, weights, inputs, sizes)
    return run, run


def make_inference(kind, weights, inputs, sizes):
    if kind == "decode":
        decoder, indices = Decoder(weights), inputs["indices"].long()
        return lambda: decoder.decode(indices)
    transformer = Transformer(weights, sizes)
    timestep, batch = inputs["timestep"].long(), sizes["batch"]
    context = inputs["context"].reshape(batch, sizes["contextLength"], -1)
    if kind == "block":
        x = inputs["x"].reshape(batch, sizes["side"] ** 2, -1)
        return lambda: transformer.block("transformer_blocks.0", x, context, timestep)
    sample = inputs["sample"].long().reshape(batch, -1)
    return lambda: transformer.step(sample, context, timestep)


def best_time(run, milliseconds):
    end = time.perf_counter() + milliseconds / 1000
    best = float("inf")
    while True:
        start = time.perf_counter()
        run()
        now = time.perf_counter()
        best = min(best, now - start)
        if now >= end:
            return best * 1000


def main(folder, threads):
    torch.set_num_threads(int(threads))
    with open(f"{folder}/task.json") as file:
        task = json.load(file)
    with torch.inference_mode(task["kind"] != "training"):
        answer(*make_run(task, load(f"{folder}/inputs.safetensors"), folder), folder)


def answer(run, result, folder):
    print("ready", flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "turn":
            print(best_time(run, float(arguments[0])), flush=True)
        else:
            with open(f"{folder}/output.f32", "wb") as file:
                file.write(result().float().contiguous().numpy().tobytes())
            print("done", flush=True)


main(*sys.argv[1:])
