import { assert, assertEquals, assertRejects } from "@std/assert";
import { type FormBody, hasFormBody, readFormBody } from "../../src/server/form_body.ts";
import { RequestError } from "../../src/server/request_error.ts";

const LIMITS = { maxBodyBytes: 10_000 };
const TYPE = "multipart/form-data; boundary=x";

function post(body: BodyInit, type?: string): Request {
  const headers = type === undefined ? undefined : { "content-type": type };
  return new Request("http://localhost/", { method: "POST", body, ...(headers && { headers }) });
}

/** What a form holds, as plain arrays. */
function entriesOf({ fields, files }: FormBody): unknown {
  return {
    fields: Object.entries(fields),
    files: Object.entries(files).map((
      [name, list],
    ) => [name, ...list.map(({ fileName, bytes }) => [fileName, [...bytes]])]),
  };
}

async function refused(request: Request, limits = LIMITS): Promise<[number, string]> {
  const { status, message } = await assertRejects(
    () => readFormBody(request, limits),
    RequestError,
  );
  return [status, message];
}

Deno.test("readFormBody() reads what fetch sends, bytes that look like delimiters included", async () => {
  const form = new FormData();
  form.append("prompt", 'é "quoted"\r\n--x\r\nsecond line');
  form.append("empty", "");
  form.append("__proto__", "1");
  form.append('a "name"', "2");
  const bytes = Uint8Array.from({ length: 600 }, (_, i) => [13, 10, 45, 45, i][i % 5]!);
  form.append("image", new File([bytes], "cat.png"));
  form.append("image", new File([], "second.png"));
  const request = post(form);
  assert(hasFormBody(request));
  assertEquals(entriesOf(await readFormBody(request, LIMITS)), {
    fields: [
      ["prompt", 'é "quoted"\r\n--x\r\nsecond line'],
      ["empty", ""],
      ["__proto__", "1"],
      ['a "name"', "2"],
    ],
    files: [["image", ["cat.png", [...bytes]], ["second.png", []]]],
  });
});

Deno.test("readFormBody() reads the forms of other clients", async () => {
  const body = [
    "a preamble",
    "--x  ",
    'Content-Disposition: form-data; name="a\\"b"',
    "",
    "--xy is no delimiter",
    "--x",
    "content-disposition:form-data;name=plain;filename=file.png",
    "Content-Type: image/png",
    "",
    "bytes",
    "--x",
    // Of a field for which no file was chosen.
    'Content-Disposition: form-data; name="none"; filename=""',
    "",
    "",
    "--x--",
    "an epilogue",
  ].join("\r\n");
  const expected = {
    fields: [['a"b', "--xy is no delimiter"]],
    files: [["plain", ["file.png", [...new TextEncoder().encode("bytes")]]]],
  };
  for (const type of [TYPE, 'Multipart/Form-Data; charset=utf-8; boundary="x"']) {
    assertEquals(entriesOf(await readFormBody(post(body, type), LIMITS)), expected);
  }
  const empty = await readFormBody(post("--x--", TYPE), LIMITS);
  assertEquals(entriesOf(empty), { fields: [], files: [] });
});

Deno.test("readFormBody() refuses damaged forms as a whole", async () => {
  const part = (text: string) => `--x\r\n${text}\r\n--x--\r\n`;
  const field = 'content-disposition: form-data; name="a"';
  const wrong: [body: BodyInit, reason: string][] = [
    ["", "it breaks off"],
    ["abc", "it breaks off"],
    ["--x\r\n", "it breaks off"],
    [`--x\r\n${field}\r\n\r\n1`, "it breaks off"],
    [`--x\r\n${field}\r\n\r\n1\r\n--x`, "it breaks off"],
    [part(`${field}\r\n1`), "a part of it has no end of its headers"],
    [part(`${field}\r\nx: ${"x".repeat(4100)}\r\n\r\n1`), "a part of it has no end of its headers"],
    [part("content-disposition: form-data\r\n\r\n1"), "a part of it has no name"],
    [part('content-disposition: attachment; name="a"\r\n\r\n1'), "a part of it has no name"],
    [part("x: y\r\n\r\n1"), "a part of it has no name"],
    [
      part(`${field}\r\ncontent-transfer-encoding: base64\r\n\r\n1`),
      "a part of it has a transfer encoding, expected none",
    ],
    [
      new Blob([`--x\r\n${field}\r\n\r\n`, Uint8Array.of(255), "\r\n--x--"]),
      "a text in it is not UTF-8",
    ],
  ];
  for (const [body, reason] of wrong) {
    assertEquals(await refused(post(body, TYPE)), [400, `The body is no valid form: ${reason}`]);
  }
  const twice = `--x\r\n${field}\r\n\r\n1\r\n--x\r\n${field}\r\n\r\n2\r\n--x--`;
  assertEquals(await refused(post(twice, TYPE)), [400, "The parameter a is given twice"]);
  assertEquals(await refused(post("--x--", "multipart/form-data")), [
    400,
    "The body is no valid form: its type names no boundary",
  ]);
  for (const type of [undefined, "application/json", "multipart/mixed; boundary=x"]) {
    assertEquals((await refused(post("--x--", type)))[0], 415);
  }
});

Deno.test("readFormBody() takes no more than the limits", async () => {
  const field = (name: string) =>
    `--x\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n\r\n`;
  const fields = (count: number) =>
    `${Array.from({ length: count }, (_, i) => field(`${i}`)).join("")}--x--`;
  assertEquals(Object.keys((await readFormBody(post(fields(64), TYPE), LIMITS)).fields).length, 64);
  assertEquals(await refused(post(fields(65), TYPE)), [413, "The form has more than 64 fields"]);

  const fits = await readFormBody(post("--x--", TYPE), { maxBodyBytes: 5 });
  assertEquals(fits.fields, Object.create(null));
  const message = "The body is longer than 4 bytes";
  assertEquals(await refused(post("--x--", TYPE), { maxBodyBytes: 4 }), [413, message]);

  // A body that would never end is left after the limit.
  let pulled = 0;
  let cancelled = false;
  const endless = new ReadableStream({
    pull: (controller) => {
      pulled++;
      controller.enqueue(new Uint8Array(1000));
    },
    cancel: () => void (cancelled = true),
  });
  assertEquals((await refused(post(endless, TYPE)))[0], 413);
  assert(cancelled && pulled <= 13, `${pulled} parts were read`);
});

Deno.test("readFormBody() refuses a body of which nothing comes, or that breaks off", async () => {
  const silent = new ReadableStream();
  const limits = { maxBodyBytes: 100, maxIdleSeconds: 0.01 };
  assertEquals(await refused(post(silent, TYPE), limits), [
    408,
    "Nothing of the body came for 0.01 s",
  ]);
  const broken = new ReadableStream({ pull: (controller) => controller.error(new Error("gone")) });
  assertEquals(await refused(post(broken, TYPE), limits), [400, "The body broke off"]);
});
