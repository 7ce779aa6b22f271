// The loop of `relay.rs`. It is not in Rust because each wait of Rust's for a promise leaves two
// functions and their finalizers to the garbage collector, four times for each of a hundred thousand
// pieces.

/**
 * Passes a body on through one buffer of `size` bytes, to its end. `look` is given each piece, and
 * gives what is passed on in its place, or nothing to pass it on as it is.
 */
export async function relay(reader, writer, size, look) {
  let buffer = new ArrayBuffer(size);
  for (;;) {
    const { value, done } = await reader.read(new Uint8Array(buffer));
    if (done) {
      return;
    }
    // The buffer was handed over and comes back under another name.
    buffer = value.buffer;
    const piece = look(value) ?? value;
    if (piece.length > 0) {
      await writer.write(piece);
    }
  }
}
