//! JPEG-LS (ITU-T T.87): lossless and near-lossless, grey and colour in all three orders of components.
//!
//! Names of variables follow the recommendation: Ra, Rb, Rc and Rd are the neighbours to the left, above, above left and
//! above right; A, B, C and N count in each context.

mod scan;

use scan::{Parameters, Scan};

/// What the frame header says.
struct Frame {
    precision: u32,
    height: usize,
    width: usize,
    components: usize,
}

/// Decodes to `[height, width, components]`, which must be what is expected. The error says what is wrong.
pub(super) fn decode(bytes: &[u8], expected: [usize; 3]) -> Result<Vec<u16>, String> {
    let malformed = |what: &str| format!("its JPEG-LS is malformed: {what}");
    let mut rest = bytes.strip_prefix(&[0xff, 0xd8]).ok_or_else(|| malformed("it has no beginning"))?;
    let mut frame: Option<Frame> = None;
    let mut preset = [0; 5];
    let mut samples = Vec::new();
    let mut done = 0;
    loop {
        // Behind a scan there may be bits that fill its last byte.
        let marker = rest.windows(2).position(|pair| pair[0] == 0xff && pair[1] >= 0x80 && pair[1] != 0xff);
        let Some(at) = marker else { return Err("it is cut short".to_owned()) };
        let (code, after) = (rest[at + 1], &rest[at + 2..]);
        if code == 0xd9 {
            return Err("it is cut short".to_owned());
        }
        let length = after.get(..2).map_or(0, |b| usize::from(u16::from_be_bytes([b[0], b[1]])));
        let content = after.get(2..length.max(2)).ok_or("it is cut short")?;
        rest = &after[length.max(2)..];
        let short = |at: usize| content.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
        match code {
            0xf7 => {
                let &[precision, _, _, _, _, components, ..] = content else {
                    return Err(malformed("its header is cut short"));
                };
                let [height, width] = [1, 3].map(|at| usize::from(short(at)));
                let found = [height, width, usize::from(components)];
                if found != expected || !(2..=16).contains(&precision) || components > 4 {
                    return Err(format!(
                        "it has {found:?} rows, columns and samples, but the header promises {expected:?}"
                    ));
                }
                frame = Some(Frame { precision: precision.into(), height, width, components: components.into() });
            }
            0xf8 if content.first() == Some(&1) => preset = std::array::from_fn(|i| short(1 + 2 * i).into()),
            0xf8 if matches!(content.first(), Some(2 | 3)) => {
                return Err("it has a palette, which is not read".to_owned());
            }
            0xe8 if content.starts_with(b"mrfx") && content.get(4) != Some(&0) => {
                return Err("its colours are transformed, which is not read".to_owned());
            }
            0xdd if content.iter().any(|&byte| byte > 0) => {
                return Err("it has restart intervals, which are not read".to_owned());
            }
            0xda => {
                let frame = frame.as_ref().ok_or_else(|| malformed("its header is missing"))?;
                let together = usize::from(content.first().copied().unwrap_or(0));
                let (near, order) = (content.get(1 + 2 * together), content.get(2 + 2 * together));
                let (Some(&near), Some(&order)) = (near, order) else {
                    return Err(malformed("the header of a scan is cut short"));
                };
                if !(1..=frame.components - done).contains(&together) || order > 2 || order == 0 && together > 1 {
                    return Err(malformed("a scan has other components than the image"));
                }
                let parameters = Parameters::new(frame.precision, near.into(), preset)
                    .ok_or_else(|| malformed("its loss is more than its values"))?;
                let mut scan = Scan::new(parameters, rest, together);
                scan_rows(&mut scan, frame, order == 2, together, &mut samples)?;
                rest = scan.rest();
                done += together;
                if done == frame.components {
                    return Ok(interleave(samples, frame, together));
                }
            }
            _ => {}
        }
    }
}

/// Appends the rows of a scan: `[rows, components, columns]`.
fn scan_rows(
    scan: &mut Scan,
    frame: &Frame,
    by_sample: bool,
    together: usize,
    samples: &mut Vec<u16>,
) -> Result<(), String> {
    let mut above = vec![vec![0; frame.width + 2]; together];
    let mut row = above.clone();
    for _ in 0..frame.height {
        if by_sample {
            scan.line(&mut above, &mut row, 0)?;
        } else {
            for c in 0..together {
                scan.line(&mut above[c..=c], &mut row[c..=c], c)?;
            }
        }
        samples.extend(row.iter().flat_map(|row| &row[1..=frame.width]).map(|&v| v as u16));
        std::mem::swap(&mut above, &mut row);
    }
    Ok(())
}

/// `[scans, rows, together, columns]` → `[rows, columns, components]`.
fn interleave(samples: Vec<u16>, frame: &Frame, together: usize) -> Vec<u16> {
    let Frame { height, width, components, .. } = *frame;
    if components == 1 {
        return samples;
    }
    let mut pixels = Vec::with_capacity(samples.len());
    for y in 0..height {
        for x in 0..width {
            for c in 0..components {
                let (scan, inside) = (c / together, c % together);
                pixels.push(samples[((scan * height + y) * together + inside) * width + x]);
            }
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greys_and_colours_are_decoded() {
        let grey = decode(include_bytes!("../../../../tests/fixtures/codecs/grey.jls"), [17, 24, 1]).unwrap();
        let colour = decode(include_bytes!("../../../../tests/fixtures/codecs/colour.jls"), [17, 24, 3]).unwrap();
        for (i, &found) in grey.iter().enumerate() {
            let (x, y) = (i % 24, i / 24);
            assert_eq!(usize::from(found), (150 * x + 7 * y * y) & 4095, "{x} {y}");
            assert_eq!(colour[3 * i..3 * i + 3], [9 * x, 11 * y, 3 * x + 5 * y].map(|v| (v & 255) as u16), "{x} {y}");
        }
        assert!(decode(include_bytes!("../../../../tests/fixtures/codecs/grey.jls"), [17, 25, 1]).is_err());
    }
}
