//! How pictures of a case are shown in files: as the window shows them at first.

use crate::data::{Case, IGNORE, Mask};
use crate::study::Subject;
use crate::view::{Orientation, Rgb, Transform, Window, palette, pixel_shape};

/// Brightness, orientation, shape of the pixels and colours of the classes.
#[derive(Clone, Debug)]
pub struct PanelLook {
    /// Brightness and contrast, as fractions of the bounds.
    pub window: Window,
    /// Flips and turns: as clinicians expect it where the sides of the patient are known, else as it is stored.
    pub orientation: Orientation,
    /// Width and height of a pixel; the smaller one is 1.
    pub pixel: [f32; 2],
    /// The colours of classes.
    pub colours: palette::ClassColours,
    /// Colour and name of each class above 0 where the model tells more than two apart; else none.
    pub classes: Vec<(Rgb, String)>,
}

impl Default for PanelLook {
    /// All of the bounds, square pixels as they are stored, two classes.
    fn default() -> Self {
        Self {
            window: Window::FULL,
            orientation: Orientation::default(),
            pixel: [1.0; 2],
            colours: palette::class_colours(|_| None, 1),
            classes: Vec::new(),
        }
    }
}

impl PanelLook {
    /// Of the image and the model of `subject`.
    pub fn of(subject: &Subject) -> Self {
        let card = subject.model.card();
        let wished = |class: usize| Some(card.classes.get(class)?.colour?.0);
        let colours = palette::class_colours(wished, usize::from(card.positive_class));
        let [_, each @ ..] = &colours;
        let several = subject.class.is_none() && card.classes.len() > 2;
        let named = |class: usize| (each[(class - 1) % each.len()], card.class_name(class).into_owned());
        let classes = if several { (1..card.classes.len()).map(named).collect() } else { Vec::new() };
        Self { colours, classes, ..Self::of_case(&subject.case) }
    }

    fn of_case(case: &Case) -> Self {
        let share = |value: f32| ((value - case.bounds.lower) / case.bounds.width()).clamp(0.0, 1.0);
        let window = Window { lower: share(case.shown.lower), upper: share(case.shown.upper) };
        Self {
            window: if window.lower < window.upper { window } else { Window::FULL },
            orientation: case.about.axes().map(Orientation::radiological).unwrap_or_default(),
            pixel: pixel_shape(case.spacing()),
            ..Self::default()
        }
    }

    /// Width and height of an image of `[width, height]` pixels as it is shown, one unit for the shorter side of a pixel.
    pub(super) fn shown(&self, image: [usize; 2]) -> [f32; 2] {
        self.orientation.arranged([0, 1].map(|i| image[i] as f32 * self.pixel[i]))
    }

    /// All of an image of `[width, height]` pixels in a picture of `size`.
    pub(super) fn transform(&self, image: [usize; 2], size: [usize; 2]) -> Transform {
        let Orientation { transposed, flipped } = self.orientation;
        let along = self.orientation.arranged(size);
        let scale = [0, 1].map(|i| image[i] as f32 / along[i].max(1) as f32);
        Transform {
            scale: [0, 1].map(|i| if flipped[i] { -scale[i] } else { scale[i] }),
            offset: [0, 1].map(|i| if flipped[i] { image[i] as f32 } else { 0.0 }),
            transposed,
        }
    }
}

/// The classes of a mask as a plane of the views, where there are several.
pub fn class_values(mask: &Mask) -> Vec<f32> {
    mask.classes.iter().map(|&class| if class == IGNORE { -1.0 } else { f32::from(class) }).collect()
}
