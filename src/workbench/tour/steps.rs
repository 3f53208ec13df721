//! The steps of the tour: what is shown, and the words, with the numbers of the pictures that are on the screen.

use crate::workbench::state::{Comparison, Picture, State, View};
use crate::workbench::{Command, CommandSender};

/// One step.
pub struct Step {
    /// Its heading.
    pub title: &'static str,
    /// Its words.
    pub words: fn(&State) -> String,
    /// Makes the window show it.
    pub show: fn(&State, &CommandSender),
}

/// A level of 8 bits as ε.
const LEVEL: f64 = 1.0 / 255.0;

fn see(state: &State, commands: &CommandSender, epsilon: f64, pictures: &[Picture], comparison: Comparison) {
    let view = View { focus: None, pictures: pictures.to_vec(), comparison, auto_gain: true, ..state.view.clone() };
    commands.send(Command::View(Box::new(view)));
    commands.send(Command::Epsilon(epsilon));
}

fn dice(state: &State) -> Option<[f64; 2]> {
    let frame = state.frame.as_ref()?;
    Some([frame.clean.overlap.dice, frame.adversarial_measure.overlap.dice])
}

fn control(state: &State) -> Option<f64> {
    let epsilon = state.frame.as_ref()?.epsilon;
    let point = state.curve.as_ref()?.control.iter().find(|p| (p.epsilon - epsilon).abs() < 1e-9)?;
    Some(point.measure.overlap.dice)
}

/// All steps, in order.
pub const STEPS: [Step; 7] = [
    Step {
        title: "An image and what a model sees in it",
        words: |state| {
            let score = dice(state).map_or(String::new(), |[clean, _]| {
                format!(" Dice, the overlap with the label, is {clean:.3}; 1 would be a perfect match.")
            });
            format!(
                "Left: a synthetic section of brain tissue, as an electron microscope would show it. Right: the membranes that a U-Net \
                 finds in it.{score} Nothing has been changed yet."
            )
        },
        show: |state, commands| {
            see(state, commands, 0.0, &[Picture::Original, Picture::CleanSegmentation], Comparison::SideBySide);
        },
    },
    Step {
        title: "What is ε?",
        words: |_| {
            "ε is the largest change that any pixel may make, as a part of the grey range. The slider below stands at 4/255: each \
             pixel became at most four of 255 grey levels brighter or darker. Drag it, and watch the right picture."
                .to_owned()
        },
        show: |state, commands| {
            see(state, commands, 4.0 * LEVEL, &[Picture::Original, Picture::Adversarial], Comparison::SideBySide);
        },
    },
    Step {
        title: "What is the noise?",
        words: |state| {
            let gain = state.frame.as_ref().map_or(0.0, |f| state.view.gain_at(f.shown_epsilon()));
            format!(
                "In the middle is the difference of the two, multiplied by {gain:.0}: as it is, it would be black. It is no random noise. \
                 Every pixel goes the way that raises the model’s error most, the sign of the gradient of its loss: FGSM."
            )
        },
        show: |state, commands| {
            let pictures = [Picture::Original, Picture::Noise, Picture::Adversarial];
            see(state, commands, 4.0 * LEVEL, &pictures, Comparison::SideBySide);
        },
    },
    Step {
        title: "Why does the mask break?",
        words: |state| {
            let fall = dice(state)
                .map_or(String::new(), |[clean, attacked]| format!(" Dice falls from {clean:.3} to {attacked:.3}."));
            let random = control(state).map_or(String::new(), |d| format!(" Random signs of the same ε leave {d:.3}."));
            format!(
                "Each pixel moves the model’s sum a little, and all of them the same way: tens of thousands of small steps add up to a large \
                 one.{fall}{random} The size of the change is not what breaks it, the direction is."
            )
        },
        show: |state, commands| {
            let pictures = [Picture::CleanSegmentation, Picture::AdversarialSegmentation, Picture::Difference];
            see(state, commands, 8.0 * LEVEL, &pictures, Comparison::SideBySide);
        },
    },
    Step {
        title: "Can you see it?",
        words: |state| {
            let hz = crate::workbench::seen::closely::blink_hz(state);
            format!(
                "Original and adversarial image blink in one place, {hz:.1} times a second: the eye finds what moves. Is the \
                 same change as easy to find side by side? Press B to stop the blinking and A to exchange them yourself."
            )
        },
        show: |state, commands| see(state, commands, 4.0 * LEVEL, &[Picture::Adversarial], Comparison::Blink),
    },
    Step {
        title: "Contrast decides",
        words: |_| {
            "A narrow window of grey values makes the same change stronger on the screen, as every radiologist knows from window and level. \
             The ε has not changed. Whether something is seen is a question about the screen, too."
                .to_owned()
        },
        show: |state, commands| {
            let view = View {
                focus: None,
                pictures: vec![Picture::Original, Picture::Adversarial],
                comparison: Comparison::SideBySide,
                window: [0.2, 0.7],
                ..state.view.clone()
            };
            commands.send(Command::View(Box::new(view)));
            commands.send(Command::Epsilon(4.0 * LEVEL));
        },
    },
    Step {
        title: "The window of ε",
        words: |state| {
            let found = crate::workbench::seen::window_of(state);
            let text = match &found {
                Some(window) if !window.both.is_empty() => {
                    format!(" Here it is ε = {}.", crate::workbench::seen::epsilon_window::spans(state, window))
                }
                Some(window) if window.unknown == 0 => " On this image and by this limit there is none.".to_owned(),
                _ => " Here it is being measured.".to_owned(),
            };
            format!(
                "Over ε, the plot shades where the attack breaks the model and where a metric says that it is not seen. Where both hold, \
                 a model fails on what that metric calls unseen: a convention, which no eye was asked about.{text} A reader study (menu Study) measures what people see; the challenge \
                 lets you guess."
            )
        },
        show: |state, commands| {
            let view = View {
                focus: None,
                pictures: Picture::ALL.to_vec(),
                comparison: Comparison::SideBySide,
                window: [0.0, 1.0],
                ..state.view.clone()
            };
            commands.send(Command::View(Box::new(view)));
            // The plot must be there.
            if state.images_only {
                commands.send(Command::ImagesOnly(false));
            }
            commands.send(Command::Epsilon(4.0 * LEVEL));
        },
    },
];
