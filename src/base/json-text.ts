/** JSON that keeps NaN and infinities, which plain JSON turns into null. */

/** The value as JSON text. */
export function toJsonText(value: object): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "number" && !Number.isFinite(part) ? { $number: String(part) } : part,
  );
}

/** The value that {@link toJsonText} wrote. @throws SyntaxError for text that is no JSON */
export function fromJsonText(text: string): unknown {
  return JSON.parse(text, (_, part: unknown) =>
    typeof part === "object" && part !== null && "$number" in part ? Number(part.$number) : part,
  );
}
