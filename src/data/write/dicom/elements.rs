//! Elements of a data set in explicit little endian (PS3.5, 7.1.2), in the order of their tags.

use std::collections::BTreeMap;

/// Elements to be written.
#[derive(Default)]
pub(super) struct Elements {
    elements: BTreeMap<u32, (String, Value)>,
}

enum Value {
    Bytes(Vec<u8>),
    /// One frame, compressed.
    Fragments(Vec<u8>),
}

impl Elements {
    /// Replaces what was there.
    pub fn bytes(&mut self, tag: u32, kind: &str, value: Vec<u8>) {
        self.elements.insert(tag, (kind.to_owned(), Value::Bytes(value)));
    }

    /// Text, cut to what its kind may hold; several values are separated by backslashes.
    pub fn text(&mut self, tag: u32, kind: &str, value: &str) {
        let most = match kind {
            "SH" => 16,
            "LO" => 64,
            "ST" => 1024,
            "LT" => 10_240,
            _ => usize::MAX,
        };
        let ascii = |c: char| if c.is_ascii() && !c.is_ascii_control() { c } else { '?' };
        let text: String = value.chars().map(ascii).take(most).collect();
        self.bytes(tag, kind, text.trim_end().as_bytes().to_vec());
    }

    pub fn short(&mut self, tag: u32, value: u16) {
        self.bytes(tag, "US", value.to_le_bytes().to_vec());
    }

    pub fn long(&mut self, tag: u32, value: u32) {
        self.bytes(tag, "UL", value.to_le_bytes().to_vec());
    }

    /// A compressed frame.
    pub fn fragments(&mut self, tag: u32, frame: Vec<u8>) {
        self.elements.insert(tag, ("OB".to_owned(), Value::Fragments(frame)));
    }

    /// Whether samples are words of 16 bits.
    pub fn allocated_words(&self) -> bool {
        matches!(self.elements.get(&0x0028_0100), Some((_, Value::Bytes(bits))) if bits == &[16, 0])
    }

    /// The bytes of all elements.
    pub fn encoded(&self) -> Vec<u8> {
        const ITEM: [u8; 4] = [0xfe, 0xff, 0x00, 0xe0];
        const SEQUENCE_END: [u8; 8] = [0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0];
        let mut bytes = Vec::new();
        for (&tag, (kind, value)) in &self.elements {
            bytes.extend(((tag >> 16) as u16).to_le_bytes());
            bytes.extend((tag as u16).to_le_bytes());
            bytes.extend(kind.as_bytes());
            match value {
                Value::Bytes(value) => {
                    let len = value.len().next_multiple_of(2) as u32;
                    if matches!(kind.as_str(), "OB" | "OW" | "SQ" | "UN" | "UT") {
                        bytes.extend([0, 0]);
                        bytes.extend(len.to_le_bytes());
                    } else {
                        bytes.extend((len as u16).to_le_bytes());
                    }
                    bytes.extend(value);
                    if value.len() % 2 == 1 {
                        bytes.push(if matches!(kind.as_str(), "OB" | "UI") { 0 } else { b' ' });
                    }
                }
                Value::Fragments(frame) => {
                    bytes.extend([0, 0, 0xff, 0xff, 0xff, 0xff]);
                    // An empty table of offsets, then the frame.
                    bytes.extend(ITEM);
                    bytes.extend([0; 4]);
                    bytes.extend(ITEM);
                    bytes.extend((frame.len().next_multiple_of(2) as u32).to_le_bytes());
                    bytes.extend(frame);
                    bytes.extend((frame.len() % 2 == 1).then_some(0));
                    bytes.extend(SEQUENCE_END);
                }
            }
        }
        bytes
    }
}

/// A decimal string (DS): as many digits as 16 characters hold.
pub(super) fn decimal(value: f64) -> String {
    // No −0.
    let value = if value == 0.0 { 0.0 } else { value };
    let plain = format!("{value}");
    if plain.len() <= 16 {
        return plain;
    }
    let candidates = (0..=15).rev().flat_map(|digits| [format!("{value:.digits$}"), format!("{value:.digits$e}")]);
    let fits = candidates.filter(|text| text.len() <= 16);
    let error = |text: &String| text.parse::<f64>().map_or(f64::INFINITY, |v| (v - value).abs());
    fits.min_by(|a, b| error(a).total_cmp(&error(b))).unwrap_or_else(|| "0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::super::printed;
    use super::*;

    #[test]
    fn decimals_fit_and_keep_what_they_can() {
        assert_eq!([decimal(-0.0), decimal(printed(2.4))], ["0", "2.4"]);
        for value in [0.0, 1.0, -1024.0, 0.1, 1.0 / 3.0, -2.0 / 3.0, 1e-20 / 3.0, 1e30 / 3.0, f64::from(0.84375f32)] {
            let text = decimal(value);
            assert!(text.len() <= 16, "{text}");
            assert!((text.parse::<f64>().unwrap() - value).abs() <= value.abs() * 1e-9, "{value}: {text}");
        }
    }

    #[test]
    fn lengths_are_even_and_tags_ascend() {
        let mut set = Elements::default();
        set.text(0x0010_0020, "LO", "abc");
        set.text(0x0008_0018, "UI", "1.2");
        assert_eq!(set.encoded(), b"\x08\0\x18\0UI\x04\x001.2\0\x10\0\x20\0LO\x04\0abc ");
    }
}
