//! Butteraugli's distance.

use super::colour::linear;
use super::pair::{ImagePair, MetricError, MetricMap};
use butteraugli::{ButteraugliError, ButteraugliParams, Img, RGB, butteraugli_linear};

/// Nits of the brightest white: what the values of libjxl's `butteraugli_main` are for unless it is told otherwise.
const NITS: f32 = 80.0;

/// Butteraugli's distance: how far the two images look apart at the place where they do most. 0 for identical images; its authors
/// take about 1 for just noticeable and more than 2 for plainly visible, at the distance at which single pixels can just be told apart.
/// The map is the distance at each pixel, its largest value that of the image.
///
/// Alakuijala et al., "Users prefer Guetzli JPEG over same-sized libjpeg", 2017, in the form of libjxl, by the crate `butteraugli`: values
/// are sRGB, grey is shown in all three channels, white has 80 cd/m², what is added and what is taken away count alike. A port, no
/// binding: `tests/it/butteraugli.rs` compares it with values of libjxl's own program.
///
/// # Errors
/// [`MetricError::TooSmall`] below 8×8 pixels, [`MetricError::Channels`] if the image is neither grey nor RGB.
pub fn butteraugli(pair: &ImagePair<'_>) -> Result<MetricMap, MetricError> {
    const NAME: &str = "Butteraugli";
    pair.at_least(NAME, 8)?;
    let [_, height, width] = pair.shape();
    let light = |pixel: &[f64; 3]| {
        let [r, g, b] = pixel.map(|v| linear(v.clamp(0.0, 1.0)) as f32);
        RGB { r, g, b }
    };
    let [original, adversarial] =
        pair.rgb(NAME)?.map(|image| Img::new(image.iter().map(light).collect::<Vec<_>>(), width, height));
    let parameters = ButteraugliParams::new().with_intensity_target(NITS).with_compute_diffmap(true);
    let failed = |error: ButteraugliError| match error {
        ButteraugliError::DimensionOverflow { .. } => {
            MetricError::Size { shape: pair.shape(), found: pair.original().len() }
        }
        // Sizes and parameters are right by now.
        _ => MetricError::NotFinite,
    };
    let found = butteraugli_linear(original.as_ref(), adversarial.as_ref(), &parameters).map_err(failed)?;
    let map = found.diffmap.map(|map| map.pixels().collect()).unwrap_or_default();
    Ok(MetricMap { value: found.score, height, width, map })
}
