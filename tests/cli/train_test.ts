// The command `train` as users run it, with the permissions of its task.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { writePictures } from "../training/pictures.ts";
import { namesIn, runTask, startTask } from "./run_task.ts";

const TINY = new URL("../fixtures/pipeline/tiny/model", import.meta.url).href;
const HOW = ["--from", TINY, "--device", "wasm", "--threads", "1", "--batch", "2"] as const;
const PICTURES = ["a-red-apple.png", "a-pear.png"] as const;

/** Waits until a file is there; the process writes it in its own time. */
async function appears(path: string, child: Deno.ChildProcess): Promise<void> {
  let ended = false;
  child.status.then(() => ended = true);
  for (;;) {
    try {
      await Deno.stat(path);
      return;
    } catch {
      if (ended) throw new Error(`the process ended without ${path}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

Deno.test("train fine-tunes a model that generate draws with", () =>
  inTemporaryFolder(async (cwd) => {
    await writePictures(`${cwd}/pictures`, PICTURES);
    const options = ["--steps", "3", "--sample-every", "2", "--prompt", "a pear", "--seed", "5"];
    const how = [...HOW, "--dtype", "fp16", "--recompute"];
    const args = ["pictures", "--out", "model", ...how, ...options];
    const result = await runTask("train", args, { cwd });
    assertEquals([result.code, result.stdout], [0, "Wrote model\n"]);
    assertStringIncludes(result.stderr, "Training 3/3, loss ");
    assertStringIncludes(result.stderr, "Samples of step 2: model/training/samples-000002.png");
    const drawn = await runTask(
      "generate",
      ["a pear", "--model", "model", "--device", "wasm", "--steps", "2", "--out", "pear.png"],
      { cwd },
    );
    assertEquals(drawn.code, 0, drawn.stderr);
    assertEquals(namesIn(cwd), ["model", "pear.png", "pictures"]);
    const config = await Deno.readTextFile(`${cwd}/model/model_index.json`);
    assertEquals(JSON.parse(config)._class_name, "VQDiffusionPipeline");
  }));

Deno.test("train begins anew with a model of its own", () =>
  inTemporaryFolder(async (cwd) => {
    await writePictures(`${cwd}/pictures`, PICTURES);
    const sizes = ["--new", "--size", "16", "--codes", "8", "--layers", "1", "--vq-steps", "2"];
    const critic = ["--vq-critic", "0.1"];
    const how = ["--device", "wasm", "--threads", "1", "--batch", "2", "--steps", "2"];
    const args = ["pictures", "--out", "model", ...sizes, ...critic, ...how];
    const result = await runTask("train", args, { cwd });
    assertEquals([result.code, result.stdout], [0, "Wrote model\n"], result.stderr);
    assertStringIncludes(result.stderr, "Autoencoder 2/2, error ");
    const inspected = await runTask("inspect", ["model"], { cwd });
    assertEquals(inspected.code, 0, inspected.stderr);
  }));

Deno.test("train goes on after it was killed, with the same model in the end", () =>
  inTemporaryFolder(async (cwd) => {
    await writePictures(`${cwd}/pictures`, PICTURES);
    const options = [...HOW, "--steps", "60", "--sample-every", "60", "--save-every", "0"];
    const child = await startTask("train", ["pictures", "--out", "killed", ...options], { cwd });
    await appears(`${cwd}/killed/training/loss.csv`, child);
    child.kill("SIGKILL");
    await child.output();
    const result = await runTask("train", ["pictures", "--out", "killed", ...options], { cwd });
    assertEquals(result.code, 0, result.stderr);
    assertStringIncludes(result.stderr, "Going on after step ");
    const whole = ["pictures", "--out", "whole", "--quiet", ...options];
    assertEquals(await runTask("train", whole, { cwd }), { code: 0, stdout: "", stderr: "" });
    const read = (folder: string, file: string) => Deno.readFileSync(`${cwd}/${folder}/${file}`);
    const files = [
      "transformer/diffusion_pytorch_model.safetensors",
      "learned_classifier_free_sampling_embeddings/diffusion_pytorch_model.safetensors",
      "training/state.safetensors",
      "training/loss.csv",
    ];
    for (const file of files) assertEquals(read("killed", file), read("whole", file), file);
  }));

Deno.test({
  name: "train saves its state when it is interrupted",
  ignore: Deno.build.os === "windows",
  fn: () =>
    inTemporaryFolder(async (cwd) => {
      await writePictures(`${cwd}/pictures`, PICTURES);
      const options = [
        ...HOW,
        "--steps",
        "100000",
        "--sample-every",
        "100000",
        "--save-every",
        "0",
      ];
      const child = await startTask("train", ["pictures", "--out", "model", ...options], { cwd });
      await appears(`${cwd}/model/training/loss.csv`, child);
      child.kill("SIGINT");
      const { code, stderr } = await child.output();
      assertEquals(code, 130);
      assertStringIncludes(new TextDecoder().decode(stderr), "Stopped; the same command goes on\n");
      assertEquals(namesIn(`${cwd}/model/training`), ["loss.csv", "state.safetensors"]);
    }),
});

Deno.test({
  name: "train leaves the last good state where the disk is full",
  ignore: Deno.build.os === "windows",
  fn: () =>
    inTemporaryFolder(async (cwd) => {
      await writePictures(`${cwd}/pictures`, PICTURES);
      const args = ["pictures", "--out", "model", ...HOW, "--steps", "2", "--sample-every", "9"];
      // What does not fit into the limit on files fails in the middle, as on a full disk.
      const { code, stderr } = await runTask("train", args, { cwd, mostKilobytes: 100 });
      assertEquals(code, 1);
      assertStringIncludes(stderr, "error: Cannot write model/training/state.safetensors: ");
      assertEquals(namesIn(cwd), ["pictures"]);
    }),
});

Deno.test("train refuses arguments and folders that do not fit, before it begins", () =>
  inTemporaryFolder(async (cwd) => {
    await writePictures(`${cwd}/pictures`, ["a.png"]);
    await Deno.writeTextFile(`${cwd}/pictures/a.png`, "no picture");
    await Deno.mkdir(`${cwd}/empty`);
    const usage = [
      [[], "Expected a folder of pictures, got none"],
      [["a", "b"], "Expected one folder, got 2"],
      [["a"], "Expected --out and a folder to write to"],
      [["a", "--out", "b", "--steps", "0"], "--steps is"],
      [["a", "--out", "b", "--dropout", "2"], "--dropout is"],
      [["a", "--out", "b", "--learning-rate", "2"], "did you mean --lr?"],
      [["a", "--out", "b", "--size", "32"], "--size is given without --new"],
      [["a", "--out", "b", "--new", "--from", "c"], "--from is given with --new"],
      [["a", "--out", "b", "--new", "--size", "30"], "expected a multiple of 8"],
      [["a", "--out", "b", "--revision", "main"], "--revision is given without --from"],
    ] as const;
    for (const [args, message] of usage) {
      const { code, stderr } = await runTask("train", args, { cwd });
      assertEquals(code, 2, stderr);
      assertStringIncludes(stderr, message);
    }
    const failing = [
      ["empty", "there are no pictures, expected PNG or JPEG files"],
      ["none", "Cannot read none: "],
      ["pictures", "1 of 1 pictures cannot be read: pictures/a.png ("],
    ] as const;
    for (const [folder, message] of failing) {
      const { code, stderr } = await runTask("train", [folder, "--out", "b", ...HOW], { cwd });
      assertEquals(code, 1, stderr);
      assertStringIncludes(stderr, message);
    }
    assert(!namesIn(cwd).includes("b"));
    const help = await runTask("train", ["--help"], { cwd });
    assertStringIncludes(help.stdout, "deno task train <pictures> --out <folder> [options]");
  }));
