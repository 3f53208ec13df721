//! Under what a curve was measured, and by what it is judged: what its figure prints, and the file beside its table holds.

use super::criterion::Criterion;
use crate::attack::Attack;
use crate::data::Bounds;
use crate::study::{Limit, SeenPlan, Subject};
use serde::Serialize;

/// All that the numbers of a curve depend on beside ε.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditions {
    /// The model's name.
    pub model: String,
    /// The image's name, with its slice if there are several.
    pub image: String,
    /// The attack with its parameters.
    pub attack: String,
    /// What the control is.
    pub control: String,
    /// The control's seed.
    pub seed: u64,
    /// What ε is a fraction of.
    pub bounds: Bounds,
    /// The type in which the image's pixels are stored.
    pub stored: String,
    /// What counts as broken.
    pub criterion: Criterion,
    /// From where on it is seen, if that was said.
    pub limit: Option<Limit>,
    /// How the image is shown.
    pub seen: SeenPlan,
    /// From the eye to the screen in mm, where it was measured.
    pub distance_mm: Option<f64>,
}

impl Conditions {
    /// Of a sweep of `attack` over `subject` whose control had `seed`.
    pub fn of(subject: &Subject, attack: Attack, seed: u64, seen: SeenPlan) -> Self {
        let case = &subject.case;
        let confined = subject.region.as_ref().map(|region| format!(", confined to a {}", region.describe()));
        Self {
            model: subject.model.card().name.clone(),
            image: case.name.clone() + confined.as_deref().unwrap_or_default(),
            attack: attack.summary(),
            control: attack.control_words().to_owned(),
            seed,
            bounds: case.bounds,
            stored: case.stored.name().to_owned(),
            criterion: Criterion::default().for_task(subject.model.card().task),
            limit: None,
            seen,
            distance_mm: None,
        }
    }

    /// The pixel values that are shown black and white.
    fn window(&self) -> [f64; 2] {
        let Bounds { lower, upper } = self.bounds;
        let width = f64::from(upper) - f64::from(lower);
        let window = self.seen.presentation.window;
        // What single precision adds to a typed number is none of the reader's business.
        [window.lower, window.upper].map(|v| rounded(f64::from(lower) + f64::from(v) * width, 1e-5 * width))
    }

    /// How the image is shown, in words: `window 64 to 192 (W 128 L 128) of 0 to 255, 8 bits, 67 pixels a degree`.
    pub fn display(&self) -> String {
        let [lower, upper] = self.window();
        let Bounds { lower: least, upper: most } = self.bounds;
        let inverted = if self.seen.presentation.inverted { ", inverted" } else { "" };
        let distance = self.distance_mm.map_or(String::new(), |mm| format!(" at {mm:.0} mm"));
        format!(
            "window {lower} to {upper} (W {} L {}) of {least} to {most}{inverted}, {} bits, {} pixels a degree of visual angle{distance}",
            upper - lower,
            (upper + lower) / 2.0,
            self.seen.presentation.bits,
            rounded(self.seen.pixels_per_degree, 0.01),
        )
    }

    /// What stands under a figure, one line each.
    pub fn lines(&self) -> Vec<String> {
        vec![
            format!("Model {}; image {} (stored as {})", self.model, self.image, self.stored),
            format!("Attack: {}. Control: {}, one draw, seed {}", self.attack, self.control, self.seed),
            format!("Shown under {}", self.display()),
        ]
    }

    /// As a file (TOML).
    pub fn toml(&self) -> String {
        let [window_lower, window_upper] = self.window();
        let presentation = self.seen.presentation;
        let file = File {
            model: &self.model,
            image: &self.image,
            stored_as: &self.stored,
            bounds: [self.bounds.lower, self.bounds.upper],
            attack: &self.attack,
            control: &self.control,
            control_seed: self.seed,
            broken_is: self.criterion.to_string(),
            unseen_is: self.limit.map(|limit| limit.to_string()),
            display: Display {
                window_lower,
                window_upper,
                window_width: window_upper - window_lower,
                window_level: (window_upper + window_lower) / 2.0,
                inverted: presentation.inverted,
                bits: presentation.bits,
                pixels_per_degree: self.seen.pixels_per_degree,
                viewing_distance_mm: self.distance_mm,
            },
        };
        // Strings, numbers and one table: nothing of it can fail.
        toml::to_string(&file).unwrap_or_default()
    }
}

fn rounded(value: f64, step: f64) -> f64 {
    if step.is_nan() || step <= 0.0 {
        return value;
    }
    let digits = 10f64.powf(-step.log10().floor());
    (value * digits).round() / digits
}

#[derive(Serialize)]
struct File<'a> {
    model: &'a str,
    image: &'a str,
    stored_as: &'a str,
    bounds: [f32; 2],
    attack: &'a str,
    control: &'a str,
    control_seed: u64,
    broken_is: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unseen_is: Option<String>,
    display: Display,
}

/// Windows in pixel values.
#[derive(Serialize)]
struct Display {
    window_lower: f64,
    window_upper: f64,
    window_width: f64,
    window_level: f64,
    inverted: bool,
    bits: u8,
    pixels_per_degree: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    viewing_distance_mm: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Presentation, Window};

    #[test]
    fn conditions_are_told_in_pixel_values() {
        let window = Window { lower: (64.0f32 - 0.0) / 255.0, upper: 192.0 / 255.0 };
        let presentation = Presentation { window, inverted: true, bits: 10 };
        let conditions = Conditions {
            model: "unet \"a\"".to_owned(),
            image: "cells".to_owned(),
            attack: "FGSM".to_owned(),
            control: "random signs of the same ε".to_owned(),
            seed: 7,
            bounds: Bounds::EIGHT_BIT,
            stored: "8 bits".to_owned(),
            criterion: Criterion::Dice(0.7),
            limit: Some("ssim:0.95".parse().unwrap()),
            seen: SeenPlan { presentation, pixels_per_degree: 31.5, ..SeenPlan::default() },
            distance_mm: Some(600.0),
        };
        let words = conditions.lines().join("\n");
        for part in
            ["seed 7", "window 64 to 192 (W 128 L 128) of 0 to 255", "inverted", "10 bits", "31.5 pixels", "600 mm"]
        {
            assert!(words.contains(part), "{part}: {words}");
        }
        let file: toml::Table = conditions.toml().parse().unwrap();
        assert_eq!(file["model"].as_str(), Some("unet \"a\""));
        assert_eq!(file["unseen_is"].as_str(), Some("SSIM at least 0.95"));
        let display = file["display"].as_table().unwrap();
        assert_eq!(display["window_width"].as_float(), Some(128.0));
        assert_eq!((display["bits"].as_integer(), display["pixels_per_degree"].as_float()), (Some(10), Some(31.5)));
        assert_eq!(display["viewing_distance_mm"].as_float(), Some(600.0));
        assert_eq!(display["inverted"].as_bool(), Some(true));
    }
}
