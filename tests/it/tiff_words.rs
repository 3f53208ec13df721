//! What TIFFs say of their values and their spacing, as ImageJ and tifffile write and read it.

use crate::saving::{ct, made, near, values};
use epsiloscope::data::{About, Pixels, Stack, open, write_stack};
use std::path::Path;
use std::sync::atomic::AtomicBool;

static GO: AtomicBool = AtomicBool::new(false);

/// The description and the resolution of the first page, as other programs read them.
fn tiff_says(path: &Path) -> (String, [f64; 2], u16) {
    use tiff::tags::Tag;
    let mut file = tiff::decoder::Decoder::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut fraction = |tag| {
        let value = file.get_tag(tag).unwrap();
        let tiff::decoder::ifd::Value::Rational(n, d) = value else { panic!("{value:?}") };
        f64::from(n) / f64::from(d)
    };
    let resolution = [fraction(Tag::XResolution), fraction(Tag::YResolution)];
    let unit = file.get_tag_u32(Tag::ResolutionUnit).unwrap();
    (file.get_tag_ascii_string(Tag::ImageDescription).unwrap(), resolution, unit as u16)
}

#[test]
fn a_tiff_has_the_spacing_that_imagej_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    let about = About { spacing: Some([3.0, 0.7, 0.5]), ..About::default() };
    let large = Stack::new([6, 1, 64, 64], Pixels::U16((0..6 * 4096).map(|i| i as u16).collect())).unwrap();
    let large = Stack { about: about.into(), ..large };
    write_stack(&path, &large, &made()).unwrap();
    // What tifffile writes with imagej=True: pixels for each unit of the description, and no other unit.
    let (description, [across, down], unit) = tiff_says(&path);
    assert!(description.starts_with("ImageJ=") && description.contains("\nunit=mm\n"), "{description}");
    assert!(description.contains("\nspacing=3\n"), "{description}");
    assert!((across - 2.0).abs() < 1e-6 && (down - 1.0 / 0.7).abs() < 1e-6 && unit == 1, "{across} {down} {unit}");
    assert!(near(&open(&path, &GO).unwrap().about.spacing.unwrap(), &[3.0, 0.7, 0.5], 1e-6));
    // Few small pages are no file of ImageJ's: pixels per cm.
    write_stack(&path, &ct(), &made()).unwrap();
    let (description, [across, down], unit) = tiff_says(&path);
    assert!(!description.contains("ImageJ") && unit == 3, "{description} {unit}");
    assert!((across - 20.0).abs() < 1e-5 && (down - 10.0 / 0.75).abs() < 1e-5, "{across} {down}");
}

/// A TIFF of another program, with one page of two pixels.
fn other_tiff<C: tiff::encoder::colortype::ColorType>(path: &Path, description: &str, white: bool, pixels: &[C::Inner])
where
    [C::Inner]: tiff::encoder::TiffValue,
{
    use tiff::tags::Tag;
    let mut encoder = tiff::encoder::TiffEncoder::new(std::fs::File::create(path).unwrap()).unwrap();
    let mut image = encoder.new_image::<C>(2, 1).unwrap();
    image.encoder().write_tag(Tag::ImageDescription, description).unwrap();
    if white {
        image.encoder().write_tag(Tag::PhotometricInterpretation, 0u16).unwrap();
    }
    image.write_data(pixels).unwrap();
}

#[test]
fn what_tiffs_say_of_their_values_is_followed_and_said() {
    use tiff::encoder::colortype::{Gray16, Gray32Float};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    let read = || {
        let stack = open(&path, &GO).unwrap();
        write_stack(&folder.path().join("a.npy"), &stack, &made()).unwrap();
        let stored = values(&open(&folder.path().join("a.npy"), &GO).unwrap());
        (values(&stack), stored, stack.about.notes.join("; "))
    };
    // ImageJ's signed 16 bits.
    other_tiff::<Gray16>(&path, "ImageJ=1.54f\ncf=0\nc0=-32768.0\nc1=1.0\n", false, &[31_768, 32_800]);
    let (shown, stored, notes) = read();
    assert_eq!((&shown[..], &stored[..]), (&[-1000.0, 32.0][..], &[-1000.0, 32.0][..]));
    assert!(notes.contains("calibration was applied: 1 × stored + -32768"), "{notes}");
    other_tiff::<Gray16>(&path, "plain", true, &[0, 1000]);
    let (shown, stored, notes) = read();
    assert_eq!((&shown[..], &stored[..]), (&[65_535.0, 64_535.0][..], &[0.0, 1000.0][..]));
    assert!(notes.contains("greys are turned round"), "{notes}");
    // Floats have no greatest value.
    other_tiff::<Gray32Float>(&path, "plain", true, &[0.25, 900.0]);
    let (shown, stored, notes) = read();
    assert_eq!((&shown[..], &stored[..]), (&[0.25, 900.0][..], &[0.25, 900.0][..]));
    assert!(notes.contains("as they are stored"), "{notes}");
}
