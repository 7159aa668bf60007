"""Trains what stands for no prompt, and nothing else, so that guidance of scales up to 8 leaves the right tokens: empty.py data run minutes out.pt"""
import os, sys
DATA, RUN, MINUTES, OUT = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
sys.argv = ["train.py", "none", "--data", DATA, "--run", RUN]
here = os.path.dirname(os.path.abspath(__file__)); source = open(os.path.join(here, "train.py")).read().rsplit('\n{"vq"', 1)[0]
exec(source.replace("os.path.abspath(__file__)", repr(os.path.join(here, "train.py"))))
data = Emoji(A.data, DEV); tok = tokenizer(data); text, tr, empty, state, load = build(); table, known = still_tokens(data); load({k: v.float() for k, v in torch.load(path("td.pt")).items()})
for p in [*text.parameters(), *tr.parameters()]: p.requires_grad_(False)
weight = drawing_weights(data) * known; keep, mask = schedule(); K = CODES; opt = torch.optim.Adam([empty], lr=4e-3); ema = empty.detach().clone(); step = 0
def caption(a, c):
    m = data.meta[a]; s = ("an " if m["name"][0] in "aeiou" else "a ") + m["name"]
    if m["style"] != "noto" or random.random() < 0.6: s += f", {m['style']} style"
    if c: s += f" on {'an' if COLOR_NAMES[c - 1][0] in 'aeiou' else 'a'} {COLOR_NAMES[c - 1]} background"
    return torch.tensor(tok.encode(s, TEXT["length"]))
while time.time() - T0 < 60 * MINUTES:
    f = (time.time() - T0) / 60 / MINUTES; opt.param_groups[0]["lr"] = 4e-3 * (1 - f) + 1e-4; n = 32
    a = torch.multinomial(weight, n, replacement=True); c = torch.where(torch.rand(n) < 0.45, 0, torch.randint(1, 13, (n,))); x0 = table[a, c]; u = torch.rand(x0.shape); t = (100 * torch.rand(n).sqrt()).long()
    xt = torch.where(u < keep[t][:, None], x0, torch.where(u < (keep + mask)[t][:, None], K, torch.randint(K, x0.shape))); s = torch.rand(n, 1, 1) * 7 + 1
    with torch.no_grad(), amp(): e = text(torch.stack([caption(i, j) for i, j in zip(a.tolist(), c.tolist())])).float(); e = e / e.norm(dim=-1, keepdim=True); g = tr(xt, e, t)
    with amp(): v = tr(xt, empty[None].expand(n, -1, -1), t)
    g, v = g.float().log_softmax(-1), v.float().log_softmax(-1); ce = F.cross_entropy((v + s * (g - v)).flatten(0, 1), x0.flatten(), reduction="none").view(n, -1)
    loss = ce.clamp_max(20)[xt == K].mean(); opt.zero_grad(); loss.backward(); opt.step(); step += 1
    with torch.no_grad(): ema.lerp_(empty, 1 - min(0.97, (1 + step) / (10 + step)))
    if step % 20 == 0: print(step, f"{float(loss):.3f} plain {float(F.cross_entropy(g.flatten(0,1), x0.flatten(), reduction='none').view(n,-1)[xt==K].mean()):.3f}", flush=True)
now = torch.load(path("td.pt")); now["empty"] = ema; torch.save(now, OUT)
