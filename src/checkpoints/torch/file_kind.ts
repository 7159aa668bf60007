/**
 * The first bytes of the files that `torch.save` writes. Apart from the reading of them, which is
 * loaded when there is one.
 *
 * @module
 */

/** Whether a file that begins with these bytes may be a zip archive. */
export function isZip(prefix: Uint8Array): boolean {
  return prefix[0] === 0x50 && prefix[1] === 0x4b && prefix[2] === 3 && prefix[3] === 4;
}

/** Whether a file that begins with these bytes may have been written by `torch.save`. */
export function isTorchFile(prefix: Uint8Array): boolean {
  return isZip(prefix) || prefix[0] === 0x80 && prefix[1] === 2 && prefix[2] === 0x8a;
}
