//! What can be shown of an image before an attack on it is done: the image itself as soon as it is decoded, then what the
//! model sees in it. Attacks of many steps take seconds.

use super::scene::reference_plane;
use super::{CaseInfo, Plane, Publish};
use crate::data::{Bounds, Case, IGNORE, Image, Mask};
use crate::study::{Measure, Subject};
use std::sync::Arc;

/// What is there of an image whose first [`Frame`](super::Frame) is being computed.
#[derive(Clone, Debug)]
pub struct Early {
    /// The image that it is of. Before the model has looked at it, it is not known whether its label says anything.
    pub case: Arc<CaseInfo>,
    /// The image in [0, 1], `[channels, h, w]`.
    pub original: Plane,
    /// What the model sees in it, once it has looked.
    pub clean: Option<Clean>,
    /// It is a slice of a file that is still being read: bounds, window and unit are guessed from this slice.
    pub part: bool,
}

/// What the model sees in the image.
#[derive(Clone, Debug)]
pub struct Clean {
    /// P(positive class), `[1, h, w]`.
    pub probability: Plane,
    /// The predicted class of each pixel where the model has more than two, `[1, h, w]`.
    pub classes: Option<Plane>,
    /// 1 where the reference is the positive class, 0 elsewhere, −1 where ignored; `[1, h, w]`.
    pub reference: Plane,
    /// Its measures against the reference.
    pub measure: Measure,
}

impl Early {
    /// An image that was read; the model has not looked at it.
    pub(super) fn read(case: &Case, info: CaseInfo) -> Self {
        Self { case: Arc::new(info), original: unit_plane(&case.image, case.bounds), clean: None, part: false }
    }

    /// The same with what the model sees in it.
    pub(super) fn seen(&self, subject: &Subject, case: Arc<CaseInfo>, publish: &Publish) -> Result<Self, String> {
        // What is said of the whole image is no picture.
        let clean = match subject.class {
            Some(_) => None,
            None => Some(Clean {
                probability: publish(subject.clean.probability.clone())?.with_values(&subject.clean.on_host),
                classes: several(subject).then(|| class_plane(&subject.clean.predicted)),
                reference: reference_plane(subject),
                measure: subject.clean.measure,
            }),
        };
        Ok(Self { case, original: self.original.clone(), clean, part: false })
    }
}

/// An image in pixel units as shares of its bounds.
pub(super) fn unit_plane(image: &Image, bounds: Bounds) -> Plane {
    let scale = 1.0 / bounds.width();
    let values = image.pixels.iter().map(|&v| (v - bounds.lower) * scale).collect::<Vec<f32>>();
    Plane::from_host(image.channels, image.height, image.width, values)
}

/// Whether the model tells more than two classes apart: one probability does not say all then.
pub(super) fn several(subject: &Subject) -> bool {
    subject.class.is_none() && subject.model.card().classes.len() > 2
}

/// The class of each pixel, −1 where it is ignored.
pub(super) fn class_plane(mask: &Mask) -> Plane {
    let value = |&class: &u8| if class == IGNORE { -1.0 } else { f32::from(class) };
    Plane::from_host(1, mask.height, mask.width, mask.classes.iter().map(value).collect::<Vec<f32>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_shown_as_shares_of_its_bounds() {
        let image = Image::new(1, 1, 3, vec![-1000.0, 0.0, 1000.0]).unwrap();
        let plane = unit_plane(&image, Bounds { lower: -1000.0, upper: 3000.0 });
        assert_eq!(plane.values(), Some(&[0.0, 0.25, 0.5][..]));
    }
}
