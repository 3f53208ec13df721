//! What each picture is made of: which planes of the frame, drawn how.

use crate::engine::{Early, Frame, Plane};
use crate::gpu::Planes;
use crate::view::palette::ClassColours;
use crate::view::{Content, MaskKind, Sampling, Theme, Transform, ViewSpec, Window};
use crate::workbench::state::{DifferenceFrom, MaskStyle, Picture, View};

/// From this magnification on, in screen pixels per image pixel, overlays have a contour as well.
const CONTOUR_ZOOM: f32 = 1.5;

/// Everything that the display needs to draw one picture.
#[derive(Clone, Debug)]
pub struct Shot {
    /// What is shown.
    pub spec: ViewSpec,
    /// What it is made of.
    pub planes: Planes,
}

impl Shot {
    /// `content` made of `image` alone.
    pub fn of_image(content: Content, image: &Plane, transform: Transform, look: &Look) -> Self {
        let planes = Planes { image: Some(image.clone()), ..Planes::default() };
        Self { spec: look.spec(content, transform), planes }
    }
}

/// What is the same for all pictures.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Brightness and contrast.
    pub window: Window,
    /// How enlarged pixels are shown.
    pub sampling: Sampling,
    /// Lines between large pixels.
    pub grid: bool,
    /// Dark or light.
    pub theme: Theme,
    /// The colours of classes.
    pub classes: ClassColours,
}

impl Look {
    /// Of the present view in a theme.
    pub fn new(view: &View, theme: Theme, classes: ClassColours) -> Self {
        let [lower, upper] = view.window;
        Self {
            window: Window { lower, upper },
            sampling: if view.smooth { Sampling::Linear } else { Sampling::Nearest },
            grid: view.grid,
            theme,
            classes,
        }
    }

    /// A specification in this look.
    pub fn spec(&self, content: Content, transform: Transform) -> ViewSpec {
        let mut spec = ViewSpec::new(content, transform).themed(self.theme);
        spec.sampling = self.sampling;
        spec.grid = self.grid;
        spec.classes = Some(self.classes);
        spec
    }
}

/// How to draw `picture` of `frame`.
pub fn shot(picture: Picture, frame: &Frame, view: &View, transform: Transform, look: &Look) -> Shot {
    let plain = |plane: &Plane| Shot::of_image(Content::Image { window: look.window }, plane, transform, look);
    match picture {
        Picture::Original => plain(&frame.original),
        Picture::Adversarial => plain(&frame.adversarial),
        Picture::Noise => {
            let gain = view.gain_at(crate::workbench::tuning::reach(frame));
            Shot::of_image(Content::Noise { gain }, &frame.noise, transform, look)
        }
        Picture::CleanSegmentation => {
            let second = view.show_reference.then(|| (frame.reference.clone(), MaskKind::Reference));
            let [clean, _] = masks(frame);
            segmentation(view, &frame.original, clean, &frame.clean_probability, second, transform, look)
        }
        Picture::AdversarialSegmentation => {
            let [clean, adversarial] = masks(frame);
            let second = if view.mark_difference {
                Some(clean)
            } else {
                view.show_reference.then(|| (frame.reference.clone(), MaskKind::Reference))
            };
            let probability = &frame.adversarial_probability;
            segmentation(view, &frame.adversarial, adversarial, probability, second, transform, look)
        }
        Picture::Difference => {
            let [clean, adversarial] = masks(frame);
            let (mask, second) = match view.difference_from {
                DifferenceFrom::CleanPrediction => (adversarial, clean),
                // The reference tells the positive class from all others.
                DifferenceFrom::Reference => (
                    (frame.adversarial_probability.clone(), MaskKind::Probability),
                    (frame.reference.clone(), MaskKind::Reference),
                ),
            };
            let planes = Planes { image: Some(frame.adversarial.clone()), mask: Some(mask), second: Some(second) };
            Shot { spec: look.spec(Content::Difference { window: look.window }, transform), planes }
        }
    }
}

/// How to draw what there is of `picture` before the first frame; `None` while there is nothing.
pub fn early_shot(picture: Picture, early: &Early, view: &View, transform: Transform, look: &Look) -> Option<Shot> {
    match (picture, &early.clean) {
        (Picture::Original, _) => {
            Some(Shot::of_image(Content::Image { window: look.window }, &early.original, transform, look))
        }
        (Picture::CleanSegmentation, Some(clean)) => {
            let mask = match &clean.classes {
                Some(classes) => (classes.clone(), MaskKind::Classes),
                None => (clean.probability.clone(), MaskKind::Probability),
            };
            let second = view.show_reference.then(|| (clean.reference.clone(), MaskKind::Reference));
            Some(segmentation(view, &early.original, mask, &clean.probability, second, transform, look))
        }
        _ => None,
    }
}

/// What the model sees in the original and in the adversarial image: its classes where it has more than two, else the
/// probability of the positive one.
fn masks(frame: &Frame) -> [(Plane, MaskKind); 2] {
    match &frame.classes {
        Some(classes) => classes.clone().map(|plane| (plane, MaskKind::Classes)),
        None => [&frame.clean_probability, &frame.adversarial_probability]
            .map(|plane| (plane.clone(), MaskKind::Probability)),
    }
}

fn segmentation(
    view: &View,
    image: &Plane,
    mask: (Plane, MaskKind),
    probability: &Plane,
    second: Option<(Plane, MaskKind)>,
    transform: Transform,
    look: &Look,
) -> Shot {
    let window = look.window;
    let content = match view.mask_style {
        // Where the image is small on the screen, contours of thin structures would cover it.
        MaskStyle::Overlay => {
            Content::Overlay { window, fill: view.opacity, contour: transform.zoom() >= CONTOUR_ZOOM }
        }
        MaskStyle::Contour => Content::Overlay { window, fill: 0.0, contour: true },
        MaskStyle::Mask => Content::Mask,
        MaskStyle::Probability => {
            return Shot::of_image(Content::Image { window: Window::FULL }, probability, transform, look);
        }
    };
    let planes = Planes { image: Some(image.clone()), mask: Some(mask), second };
    Shot { spec: look.spec(content, transform), planes }
}
