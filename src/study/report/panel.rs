//! One ε as pictures: original, noise, adversarial image, both segmentations and what changed between them (as table 5 of
//! AdvU-Net), with captions. On the host, drawn by [`crate::view`].

use super::plot::at;
use super::raster::{FONT_FAMILY, rasterise};
use super::{PanelLook, ReportError, epsilon};
use crate::study::Measure;
use crate::view::{self, Content, Layers, MaskKind, PlaneView, Rgb, Theme, ViewError, ViewSpec, palette, render};
use image::{Rgba, RgbaImage, imageops};
use maud::{Markup, html};

/// What a panel is made of, all of one height and width, row-major.
#[derive(Clone, Copy, Debug)]
pub struct PanelPictures<'a> {
    /// Channels of the image.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// The original in [0, 1], `[channels, height, width]`.
    pub original: &'a [f32],
    /// The adversarial image in [0, 1], `[channels, height, width]`.
    pub adversarial: &'a [f32],
    /// P(positive class) on the original, `[height, width]`.
    pub clean_probability: &'a [f32],
    /// P(positive class) on the adversarial image, `[height, width]`.
    pub adversarial_probability: &'a [f32],
    /// The classes on the original and on the adversarial image, `[height, width]`, −1 where ignored, where the model tells
    /// more than two apart: they are shown in place of the probabilities.
    pub classes: Option<[&'a [f32]; 2]>,
    /// How they are shown.
    pub look: &'a PanelLook,
}

/// What a panel says.
#[derive(Clone, Debug)]
pub struct PanelCaption {
    /// The attack, for people: `FGSM`.
    pub attack: String,
    /// ε as a fraction of the bounds' width.
    pub epsilon: f64,
    /// Image and model: `sample · membranes-unet`.
    pub subject: String,
    /// What is segmented, in lower case: `membrane`.
    pub class: String,
    /// What Dice compares with: `label` or `clean prediction`.
    pub reference: &'static str,
    /// Measures of the original.
    pub clean: Measure,
    /// Measures of the adversarial image.
    pub adversarial: Measure,
    /// Measures of the control, where known.
    pub control: Option<Measure>,
    /// What the control is: `random signs of the same ε`.
    pub control_words: &'static str,
}

/// The six pictures of a panel, all of one size.
#[derive(Debug)]
pub struct Tiles {
    /// Original, noise, adversarial; then the segmentations of the original and of the adversarial image, and
    /// what changed between them.
    pub pictures: [RgbaImage; 6],
    /// What the noise is multiplied by before it is shown.
    pub gain: f64,
    /// The classes' colours and names where there are more than two; else none.
    pub classes: Vec<(Rgb, String)>,
}

/// Images smaller than this are magnified by a whole factor, so that contours have room.
const SMALL: usize = 480;
/// Larger ones are shown smaller.
const LARGE: usize = 768;

/// A round factor (1, 2 or 5 times a power of ten) that brings ε close to full scale without passing it.
pub fn noise_gain(epsilon: f64) -> f64 {
    if !(epsilon > 0.0 && epsilon < 1.0) {
        return 1.0;
    }
    let most = 1.0 / epsilon * (1.0 + 1e-9);
    let power = 10f64.powf(most.log10().floor());
    [5.0, 2.0, 1.0].map(|m| m * power).into_iter().find(|g| *g <= most).unwrap_or(1.0)
}

impl PanelPictures<'_> {
    fn plane<'a>(&self, channels: usize, values: &'a [f32]) -> PlaneView<'a> {
        PlaneView { channels, height: self.height, width: self.width, values }
    }

    /// Width and height of each picture.
    fn tile_size(&self) -> [usize; 2] {
        let shown = self.look.shown([self.width, self.height]);
        let longest = shown[0].max(shown[1]).max(1.0);
        let factor = match longest.round() as usize {
            l if l < SMALL => SMALL.div_ceil(l.max(1)) as f32,
            l if l > LARGE => LARGE as f32 / longest,
            _ => 1.0,
        };
        shown.map(|side| ((side * factor).round() as usize).clamp(1, 2 * LARGE))
    }

    fn draw(&self, content: Content, layers: &Layers<'_>) -> Result<RgbaImage, ViewError> {
        let size = self.tile_size();
        let transform = self.look.transform([self.width, self.height], size);
        let spec = ViewSpec { classes: Some(self.look.colours), ..ViewSpec::new(content, transform) };
        render(&spec.themed(Theme::Light), layers, size)
    }

    /// Draws a map of its size, whose value `top` has the darkest colour.
    ///
    /// # Errors
    /// If the map does not fit its shape.
    pub(super) fn map_tile(&self, values: &[f32], top: f32) -> Result<RgbaImage, ViewError> {
        let layers = Layers { image: Some(self.plane(1, values)), ..Layers::default() };
        self.draw(Content::Noise { gain: 1.0 / top }, &layers)
    }

    /// Draws the original, the noise and the adversarial image, and says what the noise is multiplied by.
    ///
    /// # Errors
    /// If the arrays do not fit their shape.
    pub fn image_tiles(&self, epsilon: f64) -> Result<([RgbaImage; 3], f64), ViewError> {
        let noise: Vec<f32> = self.adversarial.iter().zip(self.original).map(|(a, o)| a - o).collect();
        let gain = noise_gain(epsilon);
        let draw = |content, values| {
            self.draw(content, &Layers { image: Some(self.plane(self.channels, values)), ..Layers::default() })
        };
        let plain = Content::Image { window: self.look.window };
        let pictures = [
            draw(plain, self.original)?,
            draw(Content::Noise { gain: gain as f32 }, &noise)?,
            draw(plain, self.adversarial)?,
        ];
        Ok((pictures, gain))
    }

    /// Draws the six pictures.
    ///
    /// # Errors
    /// If the arrays do not fit their shape.
    pub fn tiles(&self, epsilon: f64) -> Result<Tiles, ViewError> {
        let ([first, noise, attacked], gain) = self.image_tiles(epsilon)?;
        let image = |values| Some(self.plane(self.channels, values));
        let (masks, kind) = match self.classes {
            Some(classes) => (classes, MaskKind::Classes),
            None => ([self.clean_probability, self.adversarial_probability], MaskKind::Probability),
        };
        let [clean, changed] = masks.map(|values| Some((self.plane(1, values), kind)));
        let window = self.look.window;
        let overlay = Content::Overlay { window, fill: 0.4, contour: true };
        let (original, adversarial) = (image(self.original), image(self.adversarial));
        let pictures = [
            first,
            noise,
            attacked,
            self.draw(overlay, &Layers { image: original, mask: clean, second: None })?,
            self.draw(overlay, &Layers { image: adversarial, mask: changed, second: None })?,
            self.draw(Content::Difference { window }, &Layers { image: adversarial, mask: changed, second: clean })?,
        ];
        Ok(Tiles { pictures, gain, classes: self.look.classes.clone() })
    }
}

/// Titles of the six pictures, for people.
pub(super) fn titles(class: &str, gain: f64, several: bool) -> [String; 6] {
    // Dice is that of the one class; the colours show all.
    let class = if several { "segmentation" } else { class };
    [
        "Original".to_owned(),
        format!("Noise ×{gain}"),
        "Adversarial image".to_owned(),
        format!("Original: {class}"),
        format!("Adversarial: {class}"),
        "What changed".to_owned(),
    ]
}

pub(super) const MARGIN: usize = 28;
pub(super) const GUTTER: usize = 22;
pub(super) const HEADER: usize = 92;
pub(super) const TITLE: usize = 34;
const NOTE: usize = 38;
/// Captions need this much room, however narrow the image.
pub(super) const LEAST_CELL: usize = 380;

/// One picture of all six with captions, on white.
///
/// # Errors
/// If the captions cannot be drawn.
pub fn panel(tiles: &Tiles, caption: &PanelCaption) -> Result<RgbaImage, ReportError> {
    let (tile_width, tile_height) = tiles.pictures[0].dimensions();
    let (tile_width, tile_height) = (tile_width as usize, tile_height as usize);
    let cell = tile_width.max(LEAST_CELL);
    let left = |i: usize| MARGIN + (i % 3) * (cell + GUTTER);
    let top = |i: usize| HEADER + TITLE + (i / 3) * (TITLE + tile_height + NOTE);
    let width = 2 * MARGIN + 3 * cell + 2 * GUTTER;
    let legend_top = HEADER + 2 * (TITLE + tile_height + NOTE) + 6;
    let (legend, legend_height) = class_legend(&tiles.classes, width - 2 * MARGIN);
    let height = legend_top - 6 + legend_height + MARGIN / 2;
    let several = !tiles.classes.is_empty();
    let titles = titles(&caption.class, tiles.gain, several);
    let text = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) font-family=(FONT_FAMILY) {
            style { (maud::PreEscaped(STYLE)) }
            (header(caption, width))
            @for i in 0..6 {
                g transform={ "translate(" (left(i)) " " (top(i)) ")" } {
                    text class="t" y="-11" { (titles[i]) }
                    g transform={ "translate(0 " (tile_height + 23) ")" } { (note(i, caption, cell, several)) }
                    rect class="edge" x="-0.5" y="-0.5" width=(tile_width + 1) height=(tile_height + 1) {}
                }
            }
            g transform={ "translate(" (MARGIN) " " (legend_top) ")" } { (legend) }
        }
    };
    let captions = rasterise(&text.into_string(), 1.0)?;
    let mut whole = RgbaImage::from_pixel(captions.width(), captions.height(), Rgba([255; 4]));
    for (i, picture) in tiles.pictures.iter().enumerate() {
        imageops::replace(&mut whole, picture, left(i) as i64, top(i) as i64);
    }
    imageops::overlay(&mut whole, &captions, 0, 0);
    Ok(whole)
}

pub(super) const STYLE: &str = "
.h{fill:#1a1a1a;font-size:27px;font-weight:600}.s{fill:#55595e;font-size:17px}.t{fill:#1a1a1a;font-size:18px;font-weight:600}
.n{fill:#3c4043;font-size:16px}.edge{fill:none;stroke:#c4c7cc;stroke-width:1}.line{stroke:#1a1a1a;stroke-width:1}
";

pub(super) fn header(caption: &PanelCaption, width: usize) -> Markup {
    let epsilon = epsilon::both(caption.epsilon);
    let headline = format!("{}, ε = {epsilon}", caption.attack);
    let score = |m: &Measure| format!("{:.3}", m.score());
    let name = caption.clean.score_name();
    let mut numbers = format!("{name} {} → {}", score(&caption.clean), score(&caption.adversarial));
    if let Some(control) = &caption.control {
        numbers += &format!("; {}: {}", caption.control_words, score(control));
    }
    let subject = if caption.clean.decision.is_some() {
        format!("{}; true class by the {}: {}", caption.subject, caption.reference, caption.class)
    } else {
        format!("{}; Dice of {} against the {}", caption.subject, caption.class, caption.reference)
    };
    // Half a font size is a fair width of a character; what is too long for the line is cut, never drawn over the rest.
    let most = ((width - 2 * MARGIN) as f64 / 8.6) as usize;
    html! {
        text class="h" x=(MARGIN) y="46" { (headline) }
        text class="h" x=(width - MARGIN) y="46" text-anchor="end" { (numbers) }
        text class="s" x=(MARGIN) y="75" { (shortened(&subject, most)) }
    }
}

/// At most `most` characters, with … in the middle.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most || most < 3 {
        return text.to_owned();
    }
    let head: String = text.chars().take(most / 2).collect();
    let tail: String = text.chars().skip(count - (most - most / 2 - 1)).collect();
    format!("{head}…{tail}")
}

/// What stands under picture `i`.
fn note(i: usize, caption: &PanelCaption, cell: usize, several: bool) -> Markup {
    let segmentation = |m: &Measure| {
        format!("Dice {:.3}   IoU {:.3}   {:.1} % wrong", m.overlap.dice, m.overlap.iou, m.error.wrong * 100.0)
    };
    let words = |text: String| html! { text class="n" xml:space="preserve" { (text) } };
    match i {
        0 => words("ε = 0".to_owned()),
        1 => colour_bar(caption.epsilon),
        2 => words(format!(
            "L∞ {}   L2 {:.3}",
            epsilon::both(caption.adversarial.distortion.linf),
            caption.adversarial.distortion.l2
        )),
        3 => words(segmentation(&caption.clean)),
        4 => words(segmentation(&caption.adversarial)),
        _ if several => words("the colour is that of the new class; hatched: no class any more".to_owned()),
        _ => difference_legend(cell),
    }
}

/// −ε to ε in the noise map's colours.
pub(super) fn colour_bar(epsilon: f64) -> Markup {
    let (start, steps, width) = (78.0, 24, 6.0);
    let name = epsilon::short(epsilon);
    let [before, after] = match epsilon > 0.0 {
        true => [format!("−{name}"), format!("+{name}")],
        false => ["0".to_owned(), "0".to_owned()],
    };
    // The map is shown as far as ε reaches in it: the gain brings ε near, not onto, full scale.
    let reach = epsilon * noise_gain(epsilon);
    html! {
        text class="n" x=(start - 8.0) text-anchor="end" { (before) }
        @for step in 0..steps {
            @let t = ((f64::from(step) + 0.5) / f64::from(steps) * 2.0 - 1.0) * reach;
            rect x=(at(start + f64::from(step) * width)) y="-12" width=(width + 0.4) height="13" fill=(hex(palette::diverging(Theme::Light, t as f32))) {}
        }
        rect class="edge" x=(start) y="-12" width=(f64::from(steps) * width) height="13" {}
        text class="n" x=(start + f64::from(steps) * width + 8.0) { (after) }
    }
}

/// What each colour means, in as many lines as `width` needs, and their height. Names are cut, never drawn over one another.
fn class_legend(classes: &[(Rgb, String)], width: usize) -> (Markup, usize) {
    const LINE: usize = 28;
    const LONGEST: usize = 32;
    let mut at = [0, 0];
    let mut keys = Vec::new();
    for (colour, name) in classes {
        let name = shortened(name, LONGEST);
        let room = 23 + name.chars().count() * 10 + 22;
        if at[0] > 0 && at[0] + room > width {
            at = [0, at[1] + LINE];
        }
        keys.push((at, *colour, name));
        at[0] += room;
    }
    let markup = html! {
        @for ([x, y], colour, name) in &keys {
            rect x=(x) y=(y + 3) width="15" height="15" fill=(hex(*colour)) stroke="#c4c7cc" {}
            text class="n" x=(x + 23) y=(y + 16) { (name) }
        }
    };
    (markup, if classes.is_empty() { 0 } else { at[1] + LINE })
}

fn difference_legend(cell: usize) -> Markup {
    let second = (cell / 2).min(190);
    html! {
        rect x="0" y="-13" width="15" height="15" fill=(hex(palette::appeared(Theme::Light))) {}
        text class="n" x="23" { "appeared" }
        g transform={ "translate(" (second) " 0)" } {
            defs {
                pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect width="2.6" height="5" fill=(hex(palette::vanished(Theme::Light))) {}
                }
            }
            rect x="0" y="-13" width="15" height="15" fill="#3c4043" {}
            rect x="0" y="-13" width="15" height="15" fill="url(#hatch)" {}
            text class="n" x="23" { "vanished (hatched)" }
        }
    }
}

pub(super) fn hex([red, green, blue]: view::Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}
