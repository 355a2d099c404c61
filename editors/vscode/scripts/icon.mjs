// Draws icon.png, the extension's icon: an arrow from a square (a table) to a circle (a profile). Run with `npm run icon` after a change.
import { writeFileSync } from "node:fs";
import { crc32, deflateSync } from "node:zlib";

const SIZE = 128;
// Each pixel is the average of this number of points in both directions, which makes edges smooth.
const POINTS = 4;
const GROUND = [31, 78, 121];
const SIGN = [255, 255, 255];

const inRoundedSquare = (x, y, left, top, side, radius) => {
  const dx = Math.max(left + radius - x, x - (left + side - radius), 0);
  const dy = Math.max(top + radius - y, y - (top + side - radius), 0);
  return dx * dx + dy * dy <= radius * radius;
};
const inCircle = (x, y, cx, cy, radius) => (x - cx) ** 2 + (y - cy) ** 2 <= radius * radius;
const inArrow = (x, y) => (x >= 50 && x <= 66 && Math.abs(y - 64) <= 5) || (x >= 64 && x <= 78 && Math.abs(y - 64) <= 78 - x);
const isSign = (x, y) =>
  (inRoundedSquare(x, y, 14, 48, 32, 5) && !inRoundedSquare(x, y, 20, 54, 20, 2)) ||
  (inCircle(x, y, 98, 64, 17) && !inCircle(x, y, 98, 64, 11)) ||
  inArrow(x, y);

const rows = [];
for (let y = 0; y < SIZE; y++) {
  const row = Buffer.alloc(1 + SIZE * 4);
  for (let x = 0; x < SIZE; x++) {
    let ground = 0;
    let sign = 0;
    for (let j = 0; j < POINTS; j++) {
      for (let i = 0; i < POINTS; i++) {
        const [px, py] = [x + (i + 0.5) / POINTS, y + (j + 0.5) / POINTS];
        if (!inRoundedSquare(px, py, 0, 0, SIZE, 24)) continue;
        ground++;
        if (isSign(px, py)) sign++;
      }
    }
    const share = ground === 0 ? 0 : sign / ground;
    const color = GROUND.map((value, c) => Math.round(value + (SIGN[c] - value) * share));
    row.set([...color, Math.round((255 * ground) / POINTS ** 2)], 1 + x * 4);
  }
  rows.push(row);
}

// PNG (ISO/IEC 15948): a signature and chunks of length, type, data and checksum.
const chunk = (type, data) => {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body) >>> 0, body.length + 4);
  return out;
};
const header = Buffer.alloc(13);
header.writeUInt32BE(SIZE, 0);
header.writeUInt32BE(SIZE, 4);
// Eight bits a channel, color with opacity.
header.set([8, 6, 0, 0, 0], 8);
const png = Buffer.concat([
  Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
  chunk("IHDR", header),
  chunk("IDAT", deflateSync(Buffer.concat(rows), { level: 9 })),
  chunk("IEND", Buffer.alloc(0)),
]);
writeFileSync(new URL("../icon.png", import.meta.url), png);
