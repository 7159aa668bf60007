/**
 * What a picture was drawn with, in the text form of AUTOMATIC1111's web UI.
 *
 * @module
 */

/** Longer texts are not taken apart: nobody wrote them with care. */
const MOST_CHARACTERS = 20_000;

const NEGATIVE = "Negative prompt: ";

/**
 * Takes a text apart: the prompt, the negative prompt and, from its last line, the fields as texts. Empty
 * if there are no fields.
 */
export function parseInfo(info: string): Record<string, string> {
  if (info.length > MOST_CHARACTERS) return {};
  const lines = info.trim().split("\n");
  const fields = fieldsOf(lines.pop()!);
  if (fields.length === 0) return {};
  const at = lines.findIndex((line) => line.startsWith(NEGATIVE));
  const prompt = lines.slice(0, at < 0 ? undefined : at).join("\n");
  const negative = at < 0 ? "" : lines.slice(at).join("\n").slice(NEGATIVE.length);
  return Object.fromEntries([["Prompt", prompt], ["Negative prompt", negative], ...fields]);
}

/** The fields of `Steps: 20, Sampler: "Some, other", …`. */
function fieldsOf(line: string): [label: string, value: string][] {
  const parts = line.match(/(?:"(?:\\.|[^"\\])*"|[^",])+/g) ?? [];
  return parts.flatMap((part): [string, string][] => {
    const [, label, value] = /^ ?([A-Za-z][\w ]*): ?([^]*)$/.exec(part) ?? [];
    return label === undefined ? [] : [[label, unquoted(value!)]];
  });
}

function unquoted(text: string): string {
  if (!text.startsWith('"')) return text;
  try {
    return String(JSON.parse(text));
  } catch {
    return text;
  }
}
