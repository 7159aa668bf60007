# A step of training in PyTorch: the loss of Microsoft's `_train_loss`, AdamW, averages of the parameters.

import torch
import torch.nn.functional as F

LOG_ZERO = -69.07755  # log 1e-30, that of what is 0 in a one-hot vector


def attend(q, k, v, heads):
    """softmax(q·kᵀ / √columns)·v for (batch, length, columns), without the weights in memory."""

    def split(x):
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)

    return F.scaled_dot_product_attention(split(q), split(k), split(v)).transpose(1, 2).flatten(2)


class DiffusionLoss:
    """The loss of a batch by logits (batch, pixels, classes - 1)."""

    def __init__(self, inputs, sizes):
        self.x0, self.xt = inputs["x0"].long(), inputs["xt"].long()
        self.count = sizes["classes"] - 1
        timesteps, schedule = inputs["timesteps"].long(), inputs["schedule"]
        columns = schedule.shape[1]
        now = schedule[timesteps].reshape(-1, 1, 1, columns)
        before = schedule[timesteps - 1].reshape(-1, 1, 1, columns)
        self.single, self.cumulative = now[..., :3].unbind(-1), now[..., 3:].unbind(-1)
        self.cumulative_before = before[..., 3:].unbind(-1)
        self.is_first = (timesteps == 0).unsqueeze(1)
        self.is_masked = (self.xt == self.count).unsqueeze(2)
        adaptive = 2 - timesteps / (len(schedule) - 1)
        self.auxiliary_weight = (sizes["auxiliaryLossWeight"] * adaptive).unsqueeze(1)
        self.weight = 1 / (inputs["probabilities"].unsqueeze(1) * self.x0.numel())

    def one_hot(self, tokens, classes):
        zeros = torch.full((*tokens.shape, classes), LOG_ZERO)
        return zeros.scatter_(2, tokens.unsqueeze(2), 0)

    def transitions(self, schedule):
        """log q(x_t | x_before = k) for every class k but the mask."""
        a, b, c = schedule
        one_hot = self.one_hot(self.xt, self.count + 1)[..., :-1]
        return torch.where(self.is_masked, c, (one_hot + a).logaddexp(b))

    def posterior(self, log_probs):
        q = log_probs - self.transitions(self.cumulative)
        log_sum = q.logsumexp(2, keepdim=True)
        a, b, c = self.cumulative_before
        tokens = (q - log_sum + a).logaddexp(b) + self.transitions(self.single) + log_sum
        mask = torch.where(self.is_masked, 0, LOG_ZERO) + c + log_sum
        return torch.cat((tokens, mask), 2).clamp(-70, 0)

    def __call__(self, logits):
        log_probs = F.log_softmax(logits, 2).clamp(-70, 0)
        model = self.posterior(log_probs)
        with torch.no_grad():
            truth = self.posterior(self.one_hot(self.x0, self.count))
        kl = (truth.exp() * (truth - model)).sum(2)
        nll = -model.gather(2, self.x0.unsqueeze(2)).squeeze(2)
        direct = -log_probs.gather(2, self.x0.unsqueeze(2)).squeeze(2)
        bound, auxiliary = torch.where(self.is_first, nll, kl), torch.where(self.is_first, nll, direct)
        return (self.weight * (bound + self.auxiliary_weight * auxiliary)).sum()


class Training:
    """A transformer and what changes it."""

    def __init__(self, transformer, inputs, sizes):
        self.transformer, self.inputs, self.sizes = transformer, inputs, sizes
        self.loss = DiffusionLoss(inputs, sizes)
        self.start = transformer.weights
        self.begin(sizes["learningRate"])

    def begin(self, learning_rate):
        weights = {name: value.clone().requires_grad_() for name, value in self.start.items()}
        self.transformer.weights = weights
        self.parameters = list(weights.values())
        self.averages = [value.detach().clone() for value in self.parameters]
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=learning_rate,
            betas=self.sizes["betas"],
            eps=self.sizes["eps"],
            weight_decay=self.sizes["weightDecay"],
            fused=True,
        )

    def step(self):
        sample, timesteps = self.loss.xt, self.inputs["timesteps"].long().unsqueeze(1)
        self.optimizer.zero_grad()
        self.loss(self.transformer.logits(sample, self.inputs["context"], timesteps)).backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.sizes["maxGradNorm"])
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, self.parameters, 1 - self.sizes["emaDecay"])

    def first_step(self):
        """By how much a first step changes the averages, in the order of names."""
        self.begin(self.sizes["comparedLearningRate"])
        self.step()
        changes = {
            name: (average - start).flatten()
            for average, (name, start) in zip(self.averages, self.start.items())
        }
        return torch.cat([changes[name] for name in sorted(changes)])
