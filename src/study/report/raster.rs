//! SVG to pixels, with the project's own font, so that a figure looks the same on every machine.

use super::ReportError;
use image::{ExtendedColorType, ImageEncoder, Rgba, RgbaImage};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg;
use std::sync::{Arc, OnceLock};

/// The family of text in figures; a browser that does not have it takes its own sans-serif.
pub(super) const FONT_FAMILY: &str = "Inter, 'Noto Sans Math', system-ui, 'Segoe UI', sans-serif";

const FONTS: [&[u8]; 3] = [
    include_bytes!("../../../assets/fonts/Inter-Regular.otf"),
    include_bytes!("../../../assets/fonts/Inter-SemiBold.otf"),
    include_bytes!("../../../assets/fonts/NotoSansMath-Nabla.ttf"),
];

/// Larger pictures are refused: 16 000² pixels are a gigabyte.
const MOST_PIXELS: u64 = 100_000_000;

fn fonts() -> Arc<usvg::fontdb::Database> {
    static FONTS_READ: OnceLock<Arc<usvg::fontdb::Database>> = OnceLock::new();
    let read = || {
        let mut database = usvg::fontdb::Database::new();
        for font in FONTS {
            database.load_font_data(font.to_vec());
        }
        database.set_sans_serif_family("Inter");
        Arc::new(database)
    };
    FONTS_READ.get_or_init(read).clone()
}

/// Draws an SVG, `scale` pixels per unit of its own size.
///
/// # Errors
/// If the SVG cannot be understood or is too large.
pub fn rasterise(svg: &str, scale: f32) -> Result<RgbaImage, ReportError> {
    let options = usvg::Options { fontdb: fonts(), font_family: "Inter".to_owned(), ..usvg::Options::default() };
    let tree = usvg::Tree::from_str(svg, &options).map_err(|e| ReportError::Figure(e.to_string()))?;
    let size = tree.size();
    // Sizes are positive and checked below; rounding up keeps the last row.
    let (width, height) = ((size.width() * scale).ceil() as u32, (size.height() * scale).ceil() as u32);
    let too_large = || ReportError::Figure(format!("{width}×{height} pixels are too many"));
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(too_large());
    }
    let mut pixmap = Pixmap::new(width, height).ok_or_else(too_large)?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    let mut picture = RgbaImage::new(width, height);
    for (to, from) in picture.pixels_mut().zip(pixmap.pixels()) {
        let colour = from.demultiply();
        *to = Rgba([colour.red(), colour.green(), colour.blue(), colour.alpha()]);
    }
    Ok(picture)
}

/// PNG bytes of a picture.
///
/// # Errors
/// If it has no pixels.
pub fn encode_png(picture: &RgbaImage) -> Result<Vec<u8>, ReportError> {
    use image::codecs::png::{CompressionType, FilterType, PngEncoder};
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive);
    let (width, height) = picture.dimensions();
    if picture.pixels().all(|p| p.0[3] == u8::MAX) {
        let rgb: Vec<u8> = picture.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2]]).collect();
        encoder.write_image(&rgb, width, height, ExtendedColorType::Rgb8)?;
    } else {
        encoder.write_image(picture.as_raw(), width, height, ExtendedColorType::Rgba8)?;
    }
    Ok(bytes)
}
