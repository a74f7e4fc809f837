/** UTF-8 for the short names of which commands are made. */

// A byte order mark is a character of a name, and makes it another one.
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** Beyond this, TextDecoder is faster than a loop. */
const SHORT_BYTES = 48;
const ASCII_END = 0x80;

/**
 * The text of UTF-8 bytes. Short ASCII, which is nearly all there is, never leaves JavaScript.
 * @throws TypeError for bytes that are no UTF-8
 */
export function decodeText(bytes: Uint8Array): string {
  if (bytes.length > SHORT_BYTES) return strict.decode(bytes);
  let text = "";
  for (const byte of bytes) {
    if (byte >= ASCII_END) return strict.decode(bytes);
    text += String.fromCharCode(byte);
  }
  return text;
}
