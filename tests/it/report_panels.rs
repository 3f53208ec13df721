//! The panel of six pictures that a report has for each ε.

use super::report::measure;
use super::toys::Plain;
use epsiloscope::data::{self, Case};
use epsiloscope::gpu::Compute;
use epsiloscope::model::{ClassInfo, Model, ModelCard};
use epsiloscope::study::Subject;
use epsiloscope::study::report::{PanelCaption, PanelLook, PanelPictures, Tiles, panel};
use std::sync::Arc;

#[test]
fn panels_show_all_six_pictures() {
    let (height, width) = (40, 60);
    let original = vec![0.5; height * width];
    let adversarial: Vec<f32> = (0..height * width).map(|i| if i % 2 == 0 { 0.6 } else { 0.4 }).collect();
    let half = |left: f32| (0..height * width).map(|i| if i % width < 30 { left } else { 1.0 - left }).collect();
    let (clean, changed): (Vec<f32>, Vec<f32>) = (half(0.9), half(0.1));
    let pictures = PanelPictures {
        channels: 1,
        height,
        width,
        original: &original,
        adversarial: &adversarial,
        clean_probability: &clean,
        adversarial_probability: &changed,
        classes: None,
        look: &PanelLook::default(),
    };
    let caption = PanelCaption {
        attack: "FGSM".to_owned(),
        epsilon: 0.1,
        subject: "a very long name ".repeat(40),
        class: "membrane".to_owned(),
        reference: "label",
        clean: measure(0.9, 0.0),
        adversarial: measure(0.2, 0.1),
        control: Some(measure(0.88, 0.1)),
        control_words: "random signs of the same ε",
    };
    let tiles = pictures.tiles(0.1).unwrap();
    assert_eq!((tiles.gain, tiles.pictures[0].dimensions()), (10.0, (480, 320)));
    let all = panel(&tiles, &caption).unwrap();
    // Each picture is in the panel as it is, and the captions are on white around them.
    let corner = |x: usize, y: usize| (28 + x * 502, 126 + y * 392);
    for (i, picture) in tiles.pictures.iter().enumerate() {
        let (x, y) = corner(i % 3, i / 3);
        let inner = image::imageops::crop_imm(&all, x as u32 + 4, y as u32 + 4, 472, 312).to_image();
        assert_eq!(inner, image::imageops::crop_imm(picture, 4, 4, 472, 312).to_image(), "picture {i}");
    }
    assert_eq!(all.get_pixel(2, 2).0, [255; 4]);
    let short = PanelPictures { original: &original[1..], ..pictures };
    assert!(short.tiles(0.1).is_err(), "arrays of another size");
}

/// Colours of a picture near (x, y), in fractions of its size.
fn colour(picture: &image::RgbaImage, x: f32, y: f32) -> [u8; 3] {
    let at = |share: f32, side: u32| (share * side as f32) as u32;
    let [r, g, b, _] = picture.get_pixel(at(x, picture.width()), at(y, picture.height())).0;
    [r, g, b]
}

#[test]
fn panels_lie_as_clinicians_expect_and_show_every_class() {
    // A coronal slice, stored upside down and mirrored, of pixels twice as high as wide: bright at the patient's upper right.
    let [height, width] = [40, 60];
    let mut pixels = vec![-900.0; height * width];
    (20..40).for_each(|y| (30..60).for_each(|x| pixels[y * width + x] = 100.0));
    let stack = data::Stack::new([1, 1, height, width], data::Pixels::F32(pixels.into())).unwrap();
    // Columns run to the right, rows upwards, slices backwards.
    let affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0], [0.0, 2.0, 0.0, 0.0]];
    let about = data::About { spacing: Some([1.0, 2.0, 1.0]), affine: Some(affine), ..data::About::default() };
    let bounds = data::Bounds { lower: -1000.0, upper: 3000.0 };
    let shown = data::Bounds { lower: -1000.0, upper: 200.0 };
    let stack = data::Stack { about: about.into(), bounds, shown, ..stack };
    let case = Case::from_slice(&stack, 0, "coronal").unwrap();
    assert_eq!(case.about.axes(), Some(['R', 'S', 'P']));
    let device = Compute::cpu(Default::default()).device;
    let plain = Plain::masks(vec![vec![0.0], vec![1.0], vec![2.0]], vec![0.0; 3], &device);
    let names = ["background", "liver", "spleen"].map(ClassInfo::new).to_vec();
    let card = ModelCard { classes: names, ..plain.card().clone() };
    let model = plain.with_other_card(card);
    let subject = Subject::new(Arc::new(case), Arc::new(model)).unwrap();
    let look = PanelLook::of(&subject);
    assert_eq!((look.window.lower, look.window.upper, look.pixel), (0.0, 0.3, [1.0, 2.0]));
    let names: Vec<&str> = look.classes.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["liver", "spleen"]);
    let original: Vec<f32> = subject.case.image.pixels.iter().map(|v| (v + 1000.0) / 4000.0).collect();
    let classes: Vec<f32> = (0..height * width).map(|i| (i / width * 3 / height) as f32).collect();
    let pictures = PanelPictures {
        channels: 1,
        height,
        width,
        original: &original,
        adversarial: &original,
        clean_probability: &original,
        adversarial_probability: &original,
        classes: Some([&classes, &classes]),
        look: &look,
    };
    let tiles = pictures.tiles(0.1).unwrap();
    let [first, .., segmented, _, _] = &tiles.pictures;
    assert_eq!(first.dimensions(), (360, 480), "80 high, 60 wide");
    assert!(
        colour(first, 0.25, 0.25)[0] > 200 && colour(first, 0.75, 0.25)[0] < 30,
        "the patient's right is left, up is up"
    );
    assert!(colour(first, 0.25, 0.75)[0] < 30);
    // Rows run upwards: class 2 lies on top, in its own colour over the image.
    let near = |found: [u8; 3], class: usize| {
        let wished = epsiloscope::view::palette::class(class);
        let apart = |i: usize| (f32::from(found[i]) - 0.4 * f32::from(wished[i])).abs();
        (0..3).all(|i| apart(i) < 30.0)
    };
    assert!(near(colour(segmented, 0.75, 0.15), 2), "{:?}", colour(segmented, 0.75, 0.15));
    assert!(near(colour(segmented, 0.75, 0.5), 1), "{:?}", colour(segmented, 0.75, 0.5));
    assert!(!near(colour(segmented, 0.75, 0.9), 1));
    let caption = PanelCaption {
        attack: "FGSM".to_owned(),
        epsilon: 0.1,
        subject: "coronal".to_owned(),
        class: "liver".to_owned(),
        reference: "label",
        clean: measure(0.9, 0.0),
        adversarial: measure(0.2, 0.1),
        control: None,
        control_words: "",
    };
    let plain = Tiles { classes: Vec::new(), ..pictures.tiles(0.1).unwrap() };
    let (with, without) = (panel(&tiles, &caption).unwrap(), panel(&plain, &caption).unwrap());
    assert_eq!(with.height(), without.height() + 28, "a line for the legend");
    for (wished, _) in &tiles.classes {
        let below = with.height() - 14 - 28;
        let there = (0..with.width()).any(|x| (below..with.height()).any(|y| with.get_pixel(x, y).0[..3] == *wished));
        assert!(there, "{wished:?} is in the legend");
    }
}
