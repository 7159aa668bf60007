import { assertEquals } from "@std/assert";
import { hubOptions } from "../../src/cli/environment.ts";

const NAMES = [
  "HF_HOME",
  "HF_HUB_CACHE",
  "HUGGINGFACE_HUB_CACHE",
  "HF_HUB_OFFLINE",
  "XDG_CACHE_HOME",
];

/** What the command line finds in an environment with these variables. */
function withVariables(variables: Record<string, string>) {
  const before = [...NAMES, "HOME"].map((name) => [name, Deno.env.get(name)] as const);
  try {
    for (const name of NAMES) Deno.env.delete(name);
    for (const [name, value] of Object.entries({ HOME: "/home/me", ...variables })) {
      Deno.env.set(name, value);
    }
    return hubOptions();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
}

Deno.test("hubOptions() finds the cache where Python has it", () => {
  const cases: [Record<string, string>, string][] = [
    [{}, "/home/me/.cache/huggingface/hub"],
    [{ XDG_CACHE_HOME: "/x" }, "/x/huggingface/hub"],
    [{ HF_HOME: "/data/hf" }, "/data/hf/hub"],
    [{ HF_HOME: "~/hf" }, "/home/me/hf/hub"],
    [{ HF_HOME: "~" }, "/home/me/hub"],
    [{ HF_HOME: "/a/~/b" }, "/a/~/b/hub"],
    [{ HF_HUB_CACHE: "~/models", HF_HOME: "/hf" }, "/home/me/models"],
    [{ HUGGINGFACE_HUB_CACHE: "/old", HF_HOME: "/hf" }, "/old"],
  ];
  for (const [variables, expected] of cases) {
    assertEquals(withVariables(variables).cache, expected, JSON.stringify(variables));
  }
});

Deno.test("hubOptions() heeds HF_HUB_OFFLINE as Python does", () => {
  for (const value of ["1", "ON", "yes", "True"]) {
    assertEquals(withVariables({ HF_HUB_OFFLINE: value }).localFilesOnly, true, value);
  }
  for (const value of ["0", "no", "off", "2"]) {
    assertEquals(withVariables({ HF_HUB_OFFLINE: value }).localFilesOnly, false, value);
  }
  assertEquals(withVariables({}).localFilesOnly, false);
});
