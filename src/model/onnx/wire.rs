//! Protocol Buffers as they lie in a file: fields of messages, numbers, bytes, all within bounds.

use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom};

/// How deep messages may lie in each other: a graph in a branch of a graph takes three.
const DEEPEST: usize = 100;

/// Bytes that are read from a file at once.
const BUFFER: usize = 1 << 16;

/// What a model is read from.
pub trait Source: BufRead + Seek {}
impl<T: BufRead + Seek> Source for T {}

/// A file or bytes in memory, with a cursor.
pub struct Reader<'a> {
    source: Box<dyn Source + 'a>,
    pub(super) at: u64,
    pub(super) size: u64,
    depth: usize,
}

/// The content of one field.
#[derive(Clone, Copy)]
pub enum Field {
    /// A whole number.
    Number(u64),
    /// A number of 64 bits.
    Double(f64),
    /// A number of 32 bits.
    Float(f32),
    /// Bytes up to this position.
    Bytes(u64),
}

/// What is read, or why not.
pub type Outcome<T> = Result<T, String>;

impl<'a> Reader<'a> {
    /// Reads from `source`, which has `size` bytes.
    pub fn new(source: impl Read + Seek + 'a, size: u64) -> Self {
        Self { source: Box::new(BufReader::with_capacity(BUFFER, source)), at: 0, size, depth: 0 }
    }

    /// Reads from memory.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { source: Box::new(Cursor::new(bytes)), at: 0, size: bytes.len() as u64, depth: 0 }
    }

    /// Passes `length` bytes at `offset` to `take`, some at a time, each time a multiple of 8 but for the last.
    pub fn bytes_at(&mut self, offset: u64, length: u64, mut take: impl FnMut(&[u8])) -> Outcome<()> {
        const PART: u64 = 1 << 20;
        let end = offset.checked_add(length).filter(|&end| end <= self.size);
        let end = end.ok_or_else(|| format!("{length} bytes at {offset} of {}", self.size))?;
        self.seek(offset)?;
        while self.at < end {
            let part = self.bytes(end.min(self.at + PART))?;
            take(&part);
        }
        Ok(())
    }

    /// All fields up to `end`; what `take` does not read is skipped.
    pub fn message<T: Default>(
        &mut self,
        end: u64,
        mut take: impl FnMut(&mut Self, u64, Field, &mut T) -> Outcome<()>,
    ) -> Outcome<T> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("messages lie in each other deeper than {DEEPEST}"));
        }
        let mut message = T::default();
        while self.at < end {
            let tag = self.varint(end)?;
            let (number, wire) = (tag >> 3, tag & 7);
            if number == 0 {
                return Err(format!("a field without a number at byte {}", self.at));
            }
            let field = match wire {
                0 => Field::Number(self.varint(end)?),
                1 => Field::Double(f64::from_le_bytes(self.array(end)?)),
                2 => {
                    let length = self.varint(end)?;
                    if length > end - self.at {
                        return Err(format!("it is cut short: {length} bytes at {} of {}", self.at, self.size));
                    }
                    Field::Bytes(self.at + length)
                }
                5 => Field::Float(f32::from_le_bytes(self.array(end)?)),
                other => return Err(format!("a field of unknown kind {other} at byte {}", self.at)),
            };
            take(self, number, field, &mut message)?;
            if let Field::Bytes(end) = field {
                self.seek(end)?;
            }
        }
        self.depth -= 1;
        Ok(message)
    }

    pub fn floats(&mut self, field: Field, to: &mut Vec<f32>) -> Outcome<()> {
        match field {
            Field::Float(v) => to.push(v),
            Field::Bytes(end) => {
                let bytes = self.bytes(end)?;
                to.extend(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)));
            }
            _ => {}
        }
        Ok(())
    }

    pub fn doubles(&mut self, field: Field, to: &mut Vec<f64>) -> Outcome<()> {
        match field {
            Field::Double(v) => to.push(v),
            Field::Bytes(end) => {
                let bytes = self.bytes(end)?;
                to.extend(bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)));
            }
            _ => {}
        }
        Ok(())
    }

    pub fn numbers(&mut self, field: Field, to: &mut Vec<i64>) -> Outcome<()> {
        match field {
            Field::Number(v) => to.push(v as i64),
            Field::Bytes(end) => {
                while self.at < end {
                    let number = self.varint(end)?;
                    to.push(number as i64);
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub fn text(&mut self, end: u64) -> Outcome<String> {
        Ok(String::from_utf8_lossy(&self.bytes(end)?).into_owned())
    }

    fn bytes(&mut self, end: u64) -> Outcome<Vec<u8>> {
        // `end` lies in the file, so that no more is asked for than there is.
        if end < self.at || end > self.size {
            return Err(format!("it is cut short at byte {}", self.size));
        }
        let mut bytes = vec![0; (end - self.at) as usize];
        self.source.read_exact(&mut bytes).map_err(|e| format!("it cannot be read at byte {} ({e})", self.at))?;
        self.at = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, end: u64) -> Outcome<[u8; N]> {
        if end - self.at < N as u64 {
            return Err(format!("it is cut short at byte {}", self.at));
        }
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes).map_err(|e| format!("it cannot be read at byte {} ({e})", self.at))?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn varint(&mut self, end: u64) -> Outcome<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array::<1>(end)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(format!("a number without end at byte {}", self.at))
    }

    fn seek(&mut self, to: u64) -> Outcome<()> {
        let fail = |e| format!("it cannot be read at byte {to} ({e})");
        // A short way on is walked, since a jump gives up what is buffered.
        while to > self.at && to - self.at < BUFFER as u64 {
            let buffered = self.source.fill_buf().map_err(fail)?.len();
            if buffered == 0 {
                return Err(format!("it is cut short at byte {}", self.at));
            }
            let step = buffered.min((to - self.at) as usize);
            self.source.consume(step);
            self.at += step as u64;
        }
        if to != self.at {
            self.source.seek(SeekFrom::Start(to)).map_err(fail)?;
            self.at = to;
        }
        Ok(())
    }
}
