//! One ε of a model that classifies, as a picture: original, noise and adversarial image, and the classes before and after.

use super::bars::Bars;
use super::panel::{GUTTER, HEADER, LEAST_CELL, MARGIN, PanelCaption, STYLE, TITLE, colour_bar, header};
use super::raster::{FONT_FAMILY, rasterise};
use super::{ReportError, epsilon, figure};
use image::{Rgba, RgbaImage, imageops};
use maud::html;

const NOTE: usize = 44;

/// The titles of the three pictures, for people.
pub(super) fn titles(gain: f64) -> [String; 3] {
    ["Original".to_owned(), format!("Noise ×{gain}"), "Adversarial image".to_owned()]
}

/// The three pictures `tiles` with captions, and the bars below, on white.
///
/// # Errors
/// If the captions cannot be drawn.
pub fn class_panel(
    tiles: &[RgbaImage; 3],
    gain: f64,
    bars: &Bars<'_>,
    caption: &PanelCaption,
) -> Result<RgbaImage, ReportError> {
    let (tile_width, tile_height) = tiles[0].dimensions();
    let (tile_width, tile_height) = (tile_width as usize, tile_height as usize);
    let cell = tile_width.max(LEAST_CELL);
    let left = |i: usize| MARGIN + i * (cell + GUTTER);
    let top = HEADER + TITLE;
    let width = 2 * MARGIN + 3 * cell + 2 * GUTTER;
    let bars_top = top + tile_height + NOTE;
    let height = bars_top + bars.height() as usize + MARGIN;
    let titles = titles(gain);
    let distortion = &caption.adversarial.distortion;
    let text = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) font-family=(FONT_FAMILY) {
            style { (maud::PreEscaped(figure::STYLE)) (maud::PreEscaped(STYLE)) }
            (header(caption, width))
            @for i in 0..3 {
                g transform={ "translate(" (left(i)) " " (top) ")" } {
                    text class="t" y="-11" { (titles[i]) }
                    g transform={ "translate(0 " (tile_height + 23) ")" } {
                        @match i {
                            1 => (colour_bar(caption.epsilon)),
                            2 => text class="n" xml:space="preserve" {
                                "L∞ " (epsilon::both(distortion.linf)) "   L2 " (format!("{:.3}", distortion.l2))
                            },
                            _ => text class="n" { "ε = 0" },
                        }
                    }
                    rect class="edge" x="-0.5" y="-0.5" width=(tile_width + 1) height=(tile_height + 1) {}
                }
            }
            g transform={ "translate(" (MARGIN) " " (bars_top) ")" } { (bars.draw((width - 2 * MARGIN) as f64)) }
        }
    };
    let captions = rasterise(&text.into_string(), 1.0)?;
    let mut whole = RgbaImage::from_pixel(captions.width(), captions.height(), Rgba([255; 4]));
    for (i, picture) in tiles.iter().enumerate() {
        imageops::replace(&mut whole, picture, left(i) as i64, top as i64);
    }
    imageops::overlay(&mut whole, &captions, 0, 0);
    Ok(whole)
}
