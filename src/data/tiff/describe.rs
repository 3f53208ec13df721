//! What ImageJ and OME write into the description of a TIFF: spacing, and the axes that its pages run along.

use super::directory::{Directory, File, tag};
use std::io::{Read, Seek};

/// What the description of the first page says.
#[derive(Default)]
pub(super) struct Description {
    /// The variant of TIFF; empty if there is none.
    pub format: &'static str,
    /// Pages that ImageJ promises.
    pub images: usize,
    /// Between slices, rows and columns, in mm.
    pub spacing: Option<[f32; 3]>,
    /// What stored numbers mean: slope and intercept of ImageJ's straight line.
    pub scale: Option<[f64; 2]>,
    /// Slices of a volume, where several volumes follow one another.
    pub volume: Option<usize>,
    pub notes: Vec<String>,
}

/// Millimetres in a unit, by the names that ImageJ and OME have for it.
fn millimetres(unit: &str) -> Option<f64> {
    Some(match unit.trim() {
        "mm" => 1.0,
        "cm" => 10.0,
        "m" => 1000.0,
        "µm" | "μm" | "um" | "micron" | "microns" | "\\u00B5m" => 1e-3,
        "nm" => 1e-6,
        "inch" | "in" => 25.4,
        _ => return None,
    })
}

/// Reads the description in the first page's directory.
pub(super) fn read<R: Read + Seek>(file: &mut File<R>, directory: &Directory) -> Description {
    let bytes = file.blob(directory, tag::DESCRIPTION).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end_matches('\0');
    let own = text.starts_with("Epsiloscope=");
    if text.starts_with("ImageJ=") || own {
        let resolution = [tag::Y_RESOLUTION, tag::X_RESOLUTION].map(|tag| file.fraction(directory, tag));
        let unit = file.first(directory, tag::RESOLUTION_UNIT).ok().flatten();
        let description = imagej(text, resolution, unit);
        return if own { Description { format: "", ..description } } else { description };
    }
    if text.contains("<OME") { ome(text) } else { Description::default() }
}

fn imagej(text: &str, resolution: [Option<f64>; 2], unit: Option<u64>) -> Description {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let count = |key: &str| value(key).and_then(|v| v.trim().parse::<usize>().ok()).unwrap_or(1);
    let unit = match value("unit") {
        Some(unit) => millimetres(unit),
        None => unit.filter(|&unit| unit == 3).map(|_| 10.0),
    };
    let depth = value("spacing").and_then(|v| v.trim().parse::<f64>().ok()).unwrap_or(0.0).abs();
    let spacing = match (unit, resolution) {
        (Some(unit), [Some(rows), Some(columns)]) => {
            Some([depth * unit, unit / rows, unit / columns].map(|v| v as f32))
        }
        _ => None,
    };
    let number = |key: &str| value(key)?.trim().parse::<f64>().ok().filter(|v| v.is_finite());
    // 0 is the straight line among ImageJ's functions; others bend.
    let line = (number("cf") == Some(0.0)).then(|| number("c1").zip(number("c0"))).flatten();
    let (channels, slices, frames) = (count("channels"), count("slices"), count("frames"));
    Description {
        format: "TIFF of ImageJ",
        images: count("images"),
        scale: line
            .map(|(slope, intercept)| [slope, intercept])
            .filter(|&scale| scale != [1.0, 0.0] && scale[0] != 0.0),
        volume: (channels == 1 && slices > 1 && frames > 1).then_some(slices),
        spacing: spacing.filter(|s| s.iter().all(|v| v.is_finite())),
        notes: axes_note([("channels", channels), ("slices", slices), ("times", frames)]),
    }
}

/// Pages that run along more than one axis follow one another.
fn axes_note(axes: [(&str, usize); 3]) -> Vec<String> {
    let axes: Vec<String> = axes.iter().filter(|(_, n)| *n > 1).map(|(name, n)| format!("{n} {name}")).collect();
    if axes.len() < 2 { Vec::new() } else { vec![format!("Its pages run through {}", axes.join(", "))] }
}

/// The attributes of the first `Pixels` element (OME's data model, 2016-06).
fn ome(text: &str) -> Description {
    let Some((_, pixels)) = text.split_once("<Pixels") else { return Description::default() };
    let pixels = pixels.split_once('>').map_or(pixels, |(element, _)| element);
    let value = |key: &str| {
        let (_, rest) = pixels.split_once(&format!(" {key}=\""))?;
        rest.split_once('"').map(|(value, _)| value)
    };
    let count = |key: &str| value(key).and_then(|v| v.parse::<usize>().ok()).unwrap_or(1);
    let length = |axis: &str| {
        let size = value(&format!("PhysicalSize{axis}"))?.parse::<f64>().ok()?;
        // Without a unit it is micrometres.
        let unit = value(&format!("PhysicalSize{axis}Unit")).map_or(Some(1e-3), millimetres)?;
        Some((size * unit) as f32).filter(|v| v.is_finite() && *v > 0.0)
    };
    let spacing = match (length("Y"), length("X")) {
        (Some(rows), Some(columns)) => Some([length("Z").unwrap_or(0.0), rows, columns]),
        _ => None,
    };
    Description {
        format: "OME-TIFF",
        images: 1,
        scale: None,
        volume: None,
        spacing,
        notes: axes_note([("channels", count("SizeC")), ("slices", count("SizeZ")), ("times", count("SizeT"))]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spacing_is_in_millimetres() {
        let text = "ImageJ=1.53t\nimages=12\nchannels=2\nslices=6\nhyperstack=true\nunit=micron\nspacing=2.5\n";
        let description = imagej(text, [Some(4.0), Some(5.0)], None);
        assert_eq!((description.images, description.spacing), (12, Some([2.5e-3, 2.5e-4, 2e-4])));
        assert_eq!(description.notes, ["Its pages run through 2 channels, 6 slices"]);
        let line =
            imagej("ImageJ=1\nslices=3\nframes=2\ncf=0\nc0=-32768.0\nc1=1.0\nvunit=Gray Value\n", [None; 2], None);
        assert_eq!((line.scale, line.volume), (Some([1.0, -32_768.0]), Some(3)));
        assert_eq!(imagej("ImageJ=1\ncf=3\nc0=-32768.0\nc1=1.0\n", [None; 2], None).scale, None);
        assert_eq!(imagej("ImageJ=1\nimages=3\n", [Some(72.0); 2], Some(1)).spacing, None);
        let text = r#"<?xml version="1.0"?><OME><Image><Pixels DimensionOrder="XYZCT" SizeC="1" SizeZ="5" SizeT="1"
            PhysicalSizeX="0.5" PhysicalSizeY="500" PhysicalSizeYUnit="nm" PhysicalSizeZ="2"></Pixels></Image></OME>"#;
        assert_eq!(ome(text).spacing, Some([2e-3, 5e-4, 5e-4]));
        assert!(ome(text).notes.is_empty());
    }
}
