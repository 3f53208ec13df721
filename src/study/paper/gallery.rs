//! The AdvU-Net study's tables of pictures.

use super::page::{Section, Shown};
use super::{StudyError, StudyFile};
use crate::attack::Attack;
use crate::data::Case;
use crate::model::Model;
use crate::study::{Adversary, Subject};
use crate::tensor::to_host;
use std::sync::Arc;

/// Images whose pictures are shown, as in the paper's tables 3 and 4.
const CASES: usize = 3;
/// The paper's tables 3, 4 and 5.
pub(super) fn pictures(
    study: &StudyFile,
    attack: Attack,
    model: &Arc<dyn Model>,
    held: &[Case],
) -> Result<Vec<Section>, StudyError> {
    let (mut three, mut four, mut five) = (Vec::new(), Vec::new(), Vec::new());
    for (index, case) in held.iter().take(CASES).enumerate() {
        let subject = Arc::new(Subject::new(Arc::new(case.clone()), model.clone())?);
        let adversary = Adversary::new(subject.clone(), attack)?;
        let shape = [case.image.channels, case.image.height, case.image.width];
        let plane = [1, case.image.height, case.image.width];
        let at = adversary.at_last(study.marked)?;
        let judged = subject.judge(&at)?;
        let image = to_host(at)?;
        let noise: Vec<f32> = image
            .iter()
            .zip(subject.original.iter())
            .map(|(a, b)| 0.5 + (a - b) / (2.0 * study.marked.max(1e-6) as f32))
            .collect();
        let positive = model.card().positive_class;
        // Cells white and membranes black, as the paper's labels are.
        let label: Vec<f32> =
            subject.reference.classes.iter().map(|&c| if c == positive { 0.0 } else { 1.0 }).collect();
        let inverse = |p: &[f32]| p.iter().map(|p| 1.0 - p).collect::<Vec<f32>>();
        let mark = study.marked;
        three.push(vec![
            Shown::image(format!("{}: original", case.name), &subject.original, shape)?,
            Shown::image(format!("adversarial noise, ε {mark}"), &noise, shape)?,
            Shown::image(format!("adversarial example, ε {mark}"), &image, shape)?,
        ]);
        four.push(vec![
            Shown::image(format!("{}: label", case.name), &label, plane)?,
            Shown::image("output of the original", &inverse(&subject.clean.on_host), plane)?,
            Shown::image(format!("output of the adversarial example, ε {mark}"), &inverse(&judged.on_host), plane)?,
        ]);
        if index == 0 {
            for &epsilon in study.epsilons.iter().filter(|&&e| e >= 0.1) {
                let at = adversary.at_last(epsilon)?;
                let output = subject.judge(&at)?;
                five.push(vec![
                    Shown::image(format!("ε {epsilon}"), &to_host(at)?, shape)?,
                    Shown::image(format!("output at ε {epsilon}"), &inverse(&output.on_host), plane)?,
                ]);
            }
        }
    }
    // Two rows, one column for each ε.
    let (mut images, mut outputs) = (Vec::new(), Vec::new());
    for mut pair in five {
        outputs.extend(pair.pop());
        images.extend(pair.pop());
    }
    Ok(vec![
        Section::Pictures {
            title: "Table 3: originals, noise, adversarial examples".to_owned(),
            rows: three,
            caption:
                "The first three held-out images of the first network. Noise is stretched so that ±ε is black and white."
                    .to_owned(),
        },
        Section::Pictures {
            title: "Table 4: labels and outputs".to_owned(),
            rows: four,
            caption: "Cells white, membranes black, as the paper shows them; outputs are 1 − P(membrane).".to_owned(),
        },
        Section::Pictures {
            title: "Table 5: adversarial examples and outputs along ε".to_owned(),
            rows: vec![images, outputs],
            caption: "The first held-out image of the first network.".to_owned(),
        },
    ])
}
