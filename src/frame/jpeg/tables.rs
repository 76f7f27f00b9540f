//! Huffman tables: as a file states them, and those that MJPEG leaves out.

/// Bits that are looked up at once; longer codes are rare.
const AHEAD: u8 = 9;

/// A table to find symbols by their codes.
pub(super) struct Table {
    /// By the next `AHEAD` bits: length and symbol, length 0 for longer codes.
    short: Vec<(u8, u8)>,
    /// By length: one more than its last code, moved up to 16 bits, and what to add to a code of
    /// this length to find its symbol.
    long: [(u32, i32); 17],
    symbols: Vec<u8>,
}

impl Table {
    /// From the number of codes of each length, 1 to 16, and their symbols; `None` if there are
    /// more codes than a length allows.
    pub(super) fn new(counts: &[u8], symbols: &[u8]) -> Option<Self> {
        let mut table =
            Self { short: vec![(0, 0); 1 << AHEAD], long: [(0, 0); 17], symbols: symbols.to_vec() };
        let (mut code, mut index) = (0u32, 0usize);
        for (length, &count) in (1u8..).zip(counts.iter().take(16)) {
            table.long[usize::from(length)].1 = index as i32 - code as i32;
            for _ in 0..count {
                let &symbol = symbols.get(index)?;
                if code >> length != 0 {
                    return None;
                }
                if length <= AHEAD {
                    let spare = AHEAD - length;
                    let from = (code << spare) as usize;
                    table.short[from..from + (1 << spare)].fill((length, symbol));
                }
                code += 1;
                index += 1;
            }
            table.long[usize::from(length)].0 = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }

    /// Length and symbol of the code that `next` begins with.
    pub(super) fn find(&self, next: u16) -> Option<(u8, u8)> {
        let (length, symbol) = self.short[usize::from(next >> (16 - AHEAD))];
        if length > 0 {
            return Some((length, symbol));
        }
        let length = (AHEAD + 1..=16).find(|&length| u32::from(next) < self.long[usize::from(length)].0)?;
        let code = i32::from(next >> (16 - length));
        let index = usize::try_from(code + self.long[usize::from(length)].1).ok()?;
        Some((length, *self.symbols.get(index)?))
    }
}

/// The standard tables: class and id, codes of each length, symbols. ITU-T T.81, annex K.3; the
/// ones that every MJPEG camera means.
#[rustfmt::skip]
pub(super) const STANDARD: [(u8, &[u8], &[u8]); 4] = [
    // K.3, brightness, DC.
    (0x00, &[0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
10, 11]),
    // K.4, colour, DC.
    (0x01, &[0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
10, 11]),
    // K.5, brightness, AC.
    (0x10, &[0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125], &[1, 2, 3, 0, 4, 17, 5, 18, 33,
49, 65, 6, 19, 81, 97, 7, 34, 113, 20, 50, 129, 145, 161, 8, 35, 66, 177, 193, 21, 82, 209,
240, 36, 51, 98, 114, 130, 9, 10, 22, 23, 24, 25, 26, 37, 38, 39, 40, 41, 42, 52, 53, 54, 55,
56, 57, 58, 67, 68, 69, 70, 71, 72, 73, 74, 83, 84, 85, 86, 87, 88, 89, 90, 99, 100, 101, 102,
103, 104, 105, 106, 115, 116, 117, 118, 119, 120, 121, 122, 131, 132, 133, 134, 135, 136, 137,
138, 146, 147, 148, 149, 150, 151, 152, 153, 154, 162, 163, 164, 165, 166, 167, 168, 169, 170,
178, 179, 180, 181, 182, 183, 184, 185, 186, 194, 195, 196, 197, 198, 199, 200, 201, 202, 210,
211, 212, 213, 214, 215, 216, 217, 218, 225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 241,
242, 243, 244, 245, 246, 247, 248, 249, 250]),
    // K.6, colour, AC.
    (0x11, &[0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119], &[0, 1, 2, 3, 17, 4, 5, 33, 49,
6, 18, 65, 81, 7, 97, 113, 19, 34, 50, 129, 8, 20, 66, 145, 161, 177, 193, 9, 35, 51, 82, 240,
21, 98, 114, 209, 10, 22, 36, 52, 225, 37, 241, 23, 24, 25, 26, 38, 39, 40, 41, 42, 53, 54, 55,
56, 57, 58, 67, 68, 69, 70, 71, 72, 73, 74, 83, 84, 85, 86, 87, 88, 89, 90, 99, 100, 101, 102,
103, 104, 105, 106, 115, 116, 117, 118, 119, 120, 121, 122, 130, 131, 132, 133, 134, 135, 136,
137, 138, 146, 147, 148, 149, 150, 151, 152, 153, 154, 162, 163, 164, 165, 166, 167, 168, 169,
170, 178, 179, 180, 181, 182, 183, 184, 185, 186, 194, 195, 196, 197, 198, 199, 200, 201, 202,
210, 211, 212, 213, 214, 215, 216, 217, 218, 226, 227, 228, 229, 230, 231, 232, 233, 234, 242,
243, 244, 245, 246, 247, 248, 249, 250]),

];

/// The standard tables as a segment of a file.
pub(super) fn standard_segment() -> Vec<u8> {
    let tables = STANDARD.iter().flat_map(|(kind, counts, symbols)| [&[*kind], *counts, *symbols].concat());
    let body: Vec<u8> = tables.collect();
    let length = (body.len() + 2) as u16;
    [&[0xff, 0xc4][..], &length.to_be_bytes(), &body].concat()
}
