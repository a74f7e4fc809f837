/** The numbers of a table in files of a run: cells while it is read, then the inputs of its rows. */
import { ScratchFile } from "../base/disk/index.node.js";
import type { RowQueue, StoredInputs } from "../contracts/dataset.js";
import type { Pages } from "./column-blocks.js";
import { ThreadRowQueue } from "./row-queue.node.js";
import type { InputWriter, Medium } from "./table-reader.js";

/** What is written at once. */
const BUFFER_VALUES = 65_536;
const FLOAT32_BYTES = Float32Array.BYTES_PER_ELEMENT;

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Float64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

class FilePages implements Pages {
  readonly #file: ScratchFile;
  #end = 0;
  #pageBytes = 0;

  constructor(file: ScratchFile) {
    this.#file = file;
  }

  append(values: Float64Array): void {
    this.#file.write(this.#end, bytesOf(values));
    this.#pageBytes = values.byteLength;
    this.#end += values.byteLength;
  }

  read(page: number, offset: number, target: Float64Array): void {
    this.#file.read(page * this.#pageBytes + offset * Float64Array.BYTES_PER_ELEMENT, bytesOf(target));
  }
}

/** Where inputs of one part lie. */
interface Region {
  readonly file: ScratchFile;
  /** In bytes. */
  readonly position: number;
  readonly rows: number;
  /** Values of a row. */
  readonly width: number;
  readonly name: string;
}

/** Inputs in a file. */
class FileInputs implements StoredInputs {
  readonly length: number;
  readonly #region: Region;
  readonly #opened: (queue: ThreadRowQueue) => void;

  /** @param opened hears of each thread that is to be closed */
  constructor(region: Region, opened: (queue: ThreadRowQueue) => void) {
    this.length = region.rows * region.width;
    this.#region = region;
    this.#opened = opened;
  }

  read(from: number, target: Float32Array): void {
    const { file, position } = this.#region;
    file.read(position + from * FLOAT32_BYTES, bytesOf(target));
  }

  readAhead(rows: number): RowQueue {
    const { file, ...region } = this.#region;
    const queue = new ThreadRowQueue({ ...region, descriptor: file.descriptor }, rows);
    this.#opened(queue);
    return queue;
  }
}

class FileWriter implements InputWriter<StoredInputs> {
  readonly #region: Region;
  readonly #opened: (queue: ThreadRowQueue) => void;
  readonly #buffer: Float32Array;
  #buffered = 0;
  #written = 0;

  constructor(region: Region, opened: (queue: ThreadRowQueue) => void) {
    this.#region = region;
    this.#opened = opened;
    this.#buffer = new Float32Array(Math.max(BUFFER_VALUES, region.width));
  }

  write(row: Float32Array): void {
    if (this.#buffered + row.length > this.#buffer.length) this.#flush();
    this.#buffer.set(row, this.#buffered);
    this.#buffered += row.length;
  }

  end(): StoredInputs {
    this.#flush();
    return new FileInputs(this.#region, this.#opened);
  }

  #flush(): void {
    const { file, position } = this.#region;
    file.write(position + this.#written * FLOAT32_BYTES, bytesOf(this.#buffer.subarray(0, this.#buffered)));
    this.#written += this.#buffered;
    this.#buffered = 0;
  }
}

/** Files of one dataset, in the folder of a run. They have no names, and are gone when they are closed, or with the process. */
export class StoredTable implements Medium<StoredInputs> {
  readonly blockValues: number | undefined;
  readonly #cells: ScratchFile;
  readonly #inputs: ScratchFile;
  readonly #name: string;
  readonly #queues: ThreadRowQueue[] = [];
  #end = 0;

  /**
   * @param folder of the run, which need not be there yet
   * @param name names the data in errors
   * @throws KasminaError `io` where no file can be made there
   */
  constructor(folder: string, name: string, blockValues?: number) {
    this.#name = name;
    this.blockValues = blockValues;
    this.#cells = ScratchFile.create(folder);
    this.#inputs = ScratchFile.create(folder);
  }

  pages(): Pages {
    return new FilePages(this.#cells);
  }

  inputs(rows: number, width: number): InputWriter<StoredInputs> {
    const region = { file: this.#inputs, position: this.#end, rows, width, name: this.#name };
    this.#end += rows * width * FLOAT32_BYTES;
    return new FileWriter(region, (queue) => this.#queues.push(queue));
  }

  /** Cells are not needed once all inputs are written. */
  closeCells(): void {
    this.#cells.close();
  }

  /** Ends what reads ahead, and gives the disk back. */
  async close(): Promise<void> {
    await Promise.all(this.#queues.splice(0).map((queue) => queue.close()));
    this.#inputs.close();
  }
}
