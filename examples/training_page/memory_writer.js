// A model in memory: a folder that is written, and the archive of what it holds.

/**
 * A folder in memory, as `savePretrained` writes to.
 *
 * @param {Record<string, Uint8Array<ArrayBuffer>>} files Takes the files, by their paths.
 * @param {string} prefix What their paths begin with.
 */
export function memoryWriter(files, prefix = "") {
  return {
    description: `memory/${prefix}`,
    async writeText(path, text) {
      files[prefix + path] = await bytesOf(new Blob([text]));
    },
    async writeFile(path, write) {
      const parts = [];
      // A Blob is a copy: the bytes are not to be kept.
      await write((bytes) => void parts.push(new Blob([bytes])));
      files[prefix + path] = await bytesOf(new Blob(parts));
    },
    folder: (path) => memoryWriter(files, `${prefix}${path}/`),
  };
}

async function bytesOf(blob) {
  return new Uint8Array(await blob.arrayBuffer());
}

/** Length of the blocks that an archive consists of. */
const BLOCK = 512;

/**
 * A tar archive (POSIX.1-1988, "ustar") of files, which every system can unpack.
 *
 * @param {Record<string, Uint8Array<ArrayBuffer>>} files Contents by path.
 */
export function tarArchive(files) {
  const parts = Object.entries(files).flatMap(([path, bytes]) => [
    tarHeader(path, bytes.length),
    bytes,
    new Uint8Array(-bytes.length & (BLOCK - 1)),
  ]);
  return new Blob([...parts, new Uint8Array(2 * BLOCK)], { type: "application/x-tar" });
}

/** What comes before a file. */
function tarHeader(path, size) {
  const header = new Uint8Array(BLOCK);
  const put = (offset, text) => header.set(new TextEncoder().encode(text), offset);
  const octal = (value, digits) => value.toString(8).padStart(digits, "0");
  put(0, path);
  put(100, octal(0o644, 7));
  put(108, octal(0, 7)); // user
  put(116, octal(0, 7)); // group
  put(124, octal(size, 11));
  put(136, octal(Math.floor(Date.now() / 1000), 11));
  put(148, " ".repeat(8)); // counts as spaces in the sum of all bytes
  put(156, "0"); // an ordinary file
  put(257, "ustar\0" + "00");
  put(148, `${octal(header.reduce((sum, byte) => sum + byte), 6)}\0 `);
  return header;
}
