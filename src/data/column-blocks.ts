/**
 * The cells of a table as numbers, while it is read: column by column within blocks of rows, so that one column can be gone over
 * without the others. What is full of a block goes to pages, which lie in memory or in a file.
 */

/** Values of one block, at most: half a megabyte. */
const BLOCK_VALUES = 65_536;

/** Where full blocks lie. */
export interface Pages {
  /** Keeps a copy; every page is as long as the first. */
  append(values: Float64Array): void;
  /** Fills `target` with what the page has from its value `offset` on. */
  read(page: number, offset: number, target: Float64Array): void;
}

export class MemoryPages implements Pages {
  readonly #pages: Float64Array[] = [];

  append(values: Float64Array): void {
    this.#pages.push(values.slice());
  }

  read(page: number, offset: number, target: Float64Array): void {
    target.set(this.#pages[page]?.subarray(offset, offset + target.length) ?? []);
  }
}

/** Rows that lie next to each other. */
export interface Block {
  /** The first of its rows. */
  readonly from: number;
  readonly rows: number;
  /** Value of a column in a row of the block, counted from 0. */
  at(column: number, row: number): number;
}

/** Of one column. */
export interface ColumnPart {
  /** The first of its rows. */
  readonly from: number;
  /** One a row; overwritten when the next part is asked for. */
  readonly values: Float64Array;
}

/** Filled row by row, then gone over as often as needed, by one at a time. */
export class ColumnBlocks {
  readonly #width: number;
  readonly #pages: Pages;
  /** Rows of a block. */
  readonly #stride: number;
  /** The last block, which is not full. */
  readonly #last: Float64Array;
  #lastRows = 0;
  #full = 0;

  /** @param width columns */
  constructor(width: number, pages: Pages = new MemoryPages(), blockValues = BLOCK_VALUES) {
    this.#width = width;
    this.#pages = pages;
    this.#stride = Math.max(1, Math.floor(blockValues / width));
    this.#last = new Float64Array(this.#stride * width);
  }

  get rows(): number {
    return this.#full * this.#stride + this.#lastRows;
  }

  /** Sets a value of the row that is being filled. */
  set(column: number, value: number): void {
    this.#last[column * this.#stride + this.#lastRows] = value;
  }

  /** The row that was being filled is whole. */
  endRow(): void {
    this.#lastRows++;
    if (this.#lastRows < this.#stride) return;
    this.#pages.append(this.#last);
    this.#full++;
    this.#lastRows = 0;
  }

  *column(column: number): Generator<ColumnPart> {
    const values = new Float64Array(this.#full > 0 ? this.#stride : 0);
    const offset = column * this.#stride;
    for (let page = 0; page < this.#full; page++) {
      this.#pages.read(page, offset, values);
      yield { from: page * this.#stride, values };
    }
    if (this.#lastRows > 0)
      yield {
        from: this.#full * this.#stride,
        values: this.#last.subarray(offset, offset + this.#lastRows),
      };
  }

  /** The whole column. */
  values<A extends Int32Array | Float64Array>(column: number, into: A): A {
    for (const { from, values } of this.column(column)) into.set(values, from);
    return into;
  }

  *blocks(): Generator<Block> {
    const values = new Float64Array(this.#full > 0 ? this.#stride * this.#width : 0);
    const block = (page: number, of: Float64Array, rows: number): Block => ({
      from: page * this.#stride,
      rows,
      at: (column, row) => of[column * this.#stride + row] ?? 0,
    });
    for (let page = 0; page < this.#full; page++) {
      this.#pages.read(page, 0, values);
      yield block(page, values, this.#stride);
    }
    if (this.#lastRows > 0) yield block(this.#full, this.#last, this.#lastRows);
  }
}
