/** Text for HTML and SVG, escaped. */

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

export function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? "");
}

type Attributes = Readonly<Record<string, string | number | undefined>>;

/** One element around markup that is escaped already; attributes that are undefined are left out. */
export function element(name: string, attributes: Attributes, content = ""): string {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(
      ([key, value]) => ` ${key}="${escapeText(typeof value === "number" ? number(value) : String(value))}"`,
    )
    .join("");
  return `<${name}${written}>${content}</${name}>`;
}

/** A coordinate: a hundredth of a pixel is more than anybody sees. */
function number(value: number): string {
  return String(Math.round(value * 100) / 100);
}
