//! Where an image lies in a view. All views share one zoom and one centre ([`Navigation`]).
//!
//! Lengths are in physical pixels of the screen, so that 1:1 means one image pixel on one screen pixel on any display.
//! Image coordinates have their origin at the top left corner of the top left pixel; pixel (i, j) covers
//! `[i, i + 1) × [j, j + 1)`, and x goes right.

use crate::view::{Orientation, Transform, pixel_shape};
use crate::workbench::state::Navigation;
use eframe::egui::{Pos2, Rect, Vec2, pos2, vec2};

/// The largest magnification, in screen pixels per image pixel.
const LARGEST_SCALE: f32 = 64.0;
/// The smallest magnification of a wheel turn: this share of the one that fits.
const SMALLEST_SHARE_OF_FIT: f32 = 0.25;

/// An image as it is laid out on the screen: how many pixels it has, their shape, and how it is turned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geometry {
    /// Columns and rows.
    pub image: Vec2,
    /// Screen pixels per image pixel along columns and rows at a magnification of 1; the smaller one is 1.
    pub stretch: Vec2,
    /// Flips and turns.
    pub orientation: Orientation,
}

impl Geometry {
    /// Of `image` columns and rows with square pixels, as it is stored.
    pub fn square(image: Vec2) -> Self {
        Self { image, stretch: Vec2::splat(1.0), orientation: Orientation::default() }
    }

    /// With pixels whose shape follows from `spacing`, the distances in mm between rows and between columns, where known.
    pub fn new(image: Vec2, spacing: Option<[f32; 2]>, orientation: Orientation) -> Self {
        let stretch = Vec2::from(pixel_shape(spacing));
        Self { image, stretch, orientation }
    }

    /// Width and height of the whole picture at a magnification of 1, in screen pixels.
    pub fn shown(&self) -> Vec2 {
        Vec2::from(self.orientation.arranged((self.image * self.stretch).into()))
    }

    /// Width over height of the picture.
    pub fn aspect(&self) -> f32 {
        let shown = self.shown();
        if shown.y > 0.0 { shown.x / shown.y } else { 1.0 }
    }
}

/// An image in a view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Viewport {
    /// The image's layout.
    pub geometry: Geometry,
    /// Width and height of the view in screen pixels.
    pub view: Vec2,
    /// Zoom and centre.
    pub navigation: Navigation,
}

impl Viewport {
    /// Screen pixels per image pixel, along the axis on which pixels are smaller.
    pub fn scale(&self) -> f32 {
        self.navigation.zoom.unwrap_or_else(|| fit_scale(self.geometry.shown(), self.view))
    }

    /// Whether some of the image lies outside the view.
    pub fn is_cropped(&self) -> bool {
        let shown = self.geometry.shown() * self.scale();
        shown.x > self.view.x + 0.5 || shown.y > self.view.y + 0.5
    }

    /// The rectangle that the whole image covers, in screen pixels from the view's top left corner. It begins at a whole
    /// screen pixel: at 1:1 every image pixel is exactly one screen pixel.
    pub fn image_rect(&self) -> Rect {
        let size = self.geometry.shown() * self.scale();
        let centre = match self.navigation.zoom {
            None => Vec2::splat(0.5),
            Some(_) => Vec2::from(self.geometry.orientation.picture_from_image(self.navigation.center)),
        };
        Rect::from_min_size((self.view * 0.5 - centre * size).round().to_pos2(), size)
    }

    /// Screen pixels per image pixel along columns and rows.
    pub fn scales(&self) -> Vec2 {
        self.geometry.stretch * self.scale()
    }

    /// The same for the display.
    pub fn transform(&self) -> Transform {
        let Orientation { transposed, flipped } = self.geometry.orientation;
        let scales = self.scales();
        let sign = |i: usize| if flipped[i] { -1.0 } else { 1.0 };
        let scale = [sign(0) / scales.x, sign(1) / scales.y];
        Transform { scale, offset: self.image_from_screen(Pos2::ZERO).into(), transposed }
    }

    /// The image coordinate under a screen position (from the view's top left corner).
    pub fn image_from_screen(&self, screen: Pos2) -> Pos2 {
        let orientation = self.geometry.orientation;
        let scales = self.scales();
        let along = Vec2::from(orientation.arranged((screen - self.image_rect().min).into())) / scales;
        let image = self.geometry.image;
        let [x, y] = orientation.flipped;
        pos2(if x { image.x - along.x } else { along.x }, if y { image.y - along.y } else { along.y })
    }

    /// The screen position (from the view's top left corner) of an image coordinate.
    pub fn screen_from_image(&self, point: Pos2) -> Pos2 {
        let orientation = self.geometry.orientation;
        let image = self.geometry.image;
        let [x, y] = orientation.flipped;
        let along = vec2(if x { image.x - point.x } else { point.x }, if y { image.y - point.y } else { point.y });
        self.image_rect().min + Vec2::from(orientation.arranged((along * self.scales()).into()))
    }

    /// The image pixel (column, row) under a screen position, if there is one.
    pub fn pixel_at(&self, screen: Pos2) -> Option<[usize; 2]> {
        let (point, image) = (self.image_from_screen(screen), self.geometry.image);
        let inside = point.x >= 0.0 && point.y >= 0.0 && point.x < image.x && point.y < image.y;
        inside.then_some([point.x as usize, point.y as usize])
    }

    /// Magnified by `factor`; the image point under `screen` stays there, as far as the image's edges allow.
    pub fn zoomed_about(&self, screen: Pos2, factor: f32) -> Navigation {
        let fit = fit_scale(self.geometry.shown(), self.view);
        let smallest = (fit * SMALLEST_SHARE_OF_FIT).min(1.0);
        let scale = (self.scale() * factor).clamp(smallest, LARGEST_SCALE.max(fit));
        let point = (screen - self.image_rect().min) / self.scale();
        // screen = view/2 + (point − centre·shown)·scale, solved for the centre.
        let offset = (screen.to_vec2() - self.view * 0.5) / scale;
        self.kept_in_view(scale, (point - offset) / self.geometry.shown())
    }

    /// Magnified by `factor` around an image point, which is shown at `screen` whatever the image's edges.
    pub fn magnified(&self, point: Pos2, screen: Pos2, factor: f32) -> Transform {
        let at = [screen.x, screen.y];
        let scale = self.transform().scale.map(|scale| scale / factor);
        let transformed = Transform { scale, offset: [0.0; 2], transposed: self.geometry.orientation.transposed };
        let corner = transformed.image_from_output(at);
        Transform { offset: [point.x - corner[0], point.y - corner[1]], ..transformed }
    }

    /// Shown at `scale` screen pixels per image pixel; the middle of the view stays.
    pub fn scaled_to(&self, scale: f32) -> Navigation {
        self.zoomed_about((self.view * 0.5).to_pos2(), scale / self.scale())
    }

    /// Moved by `delta` screen pixels. An image that fits stays.
    pub fn panned(&self, delta: Vec2) -> Navigation {
        let Some(scale) = self.navigation.zoom else { return self.navigation };
        let centre = Vec2::from(self.geometry.orientation.picture_from_image(self.navigation.center));
        self.kept_in_view(scale, centre - delta / (self.geometry.shown() * scale))
    }

    /// Keeps the image from leaving the view: it is centred along an axis on which it fits, and covers the view
    /// along one on which it does not.
    fn kept_in_view(&self, scale: f32, centre: Vec2) -> Navigation {
        let half = self.view * 0.5 / (self.geometry.shown() * scale).max(Vec2::splat(f32::MIN_POSITIVE));
        let keep = |centre: f32, half: f32| if half >= 0.5 { 0.5 } else { centre.clamp(half, 1.0 - half) };
        let centre = [keep(centre.x, half.x), keep(centre.y, half.y)];
        Navigation { zoom: Some(scale), center: self.geometry.orientation.image_from_picture(centre) }
    }
}

/// Screen pixels per image pixel at which the whole image fits.
fn fit_scale(image: Vec2, view: Vec2) -> f32 {
    if image.x <= 0.0 || image.y <= 0.0 {
        return 1.0;
    }
    (view.x / image.x).min(view.y / image.y).max(1e-3)
}

/// The magnification for people: `62 %`.
pub fn percent(scale: f32) -> String {
    let percent = scale * 100.0;
    if percent < 10.0 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

/// A position in a view (`rect`, in points) as screen pixels from the view's top left corner.
pub fn to_screen_pixels(rect: Rect, position: Pos2, pixels_per_point: f32) -> Pos2 {
    ((position - rect.min) * pixels_per_point).to_pos2()
}

/// The reverse of [`to_screen_pixels`].
pub fn from_screen_pixels(rect: Rect, screen: Pos2, pixels_per_point: f32) -> Pos2 {
    pos2(rect.min.x + screen.x / pixels_per_point, rect.min.y + screen.y / pixels_per_point)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIT: Viewport = Viewport {
        geometry: Geometry {
            image: Vec2::new(512.0, 256.0),
            stretch: Vec2::splat(1.0),
            orientation: Orientation { transposed: false, flipped: [false; 2] },
        },
        view: Vec2::new(400.0, 300.0),
        navigation: Navigation { zoom: None, center: [0.5, 0.5] },
    };

    fn at(navigation: Navigation) -> Viewport {
        Viewport { navigation, ..FIT }
    }

    #[test]
    fn fit_shows_everything_centred() {
        let rect = FIT.image_rect();
        assert!((rect.width() - 400.0).abs() < 1e-3 && (rect.height() - 200.0).abs() < 1e-3);
        assert!((rect.min.y - 50.0).abs() < 1e-3);
        assert!(!FIT.is_cropped());
    }

    #[test]
    fn the_point_under_the_pointer_stays() {
        let viewport = at(FIT.zoomed_about(pos2(200.0, 150.0), 6.0));
        for screen in [pos2(20.0, 30.0), pos2(390.0, 290.0), pos2(200.0, 10.0)] {
            let before = viewport.image_from_screen(screen);
            let after = at(viewport.zoomed_about(screen, 1.7)).image_from_screen(screen);
            assert!((before - after).length() < 0.5 / viewport.scale(), "{before:?} moved to {after:?}");
        }
    }

    #[test]
    fn one_to_one_is_one_screen_pixel() {
        let viewport = at(FIT.scaled_to(1.0));
        assert!((viewport.scale() - 1.0).abs() < 1e-6);
        let a = viewport.screen_from_image(pos2(10.0, 10.0));
        let b = viewport.screen_from_image(pos2(11.0, 10.0));
        assert!(((b - a).x - 1.0).abs() < 1e-3);
    }

    #[test]
    fn panning_stops_at_the_edges() {
        let viewport = at(at(FIT.scaled_to(4.0)).panned(Vec2::splat(1e6)));
        let rect = viewport.image_rect();
        assert!(rect.min.x.abs() < 0.1 && rect.min.y.abs() < 0.1);
        assert_eq!(viewport.pixel_at(pos2(0.5, 0.5)), Some([0, 0]));
        assert_eq!(FIT.panned(Vec2::splat(10.0)), FIT.navigation);
    }

    #[test]
    fn beside_the_image_is_no_pixel() {
        assert_eq!(FIT.pixel_at(pos2(200.0, 20.0)), None);
        assert_eq!(percent(0.625), "62 %");
        assert_eq!(percent(0.05), "5.0 %");
    }

    #[test]
    fn points_and_screen_pixels_are_inverse() {
        let rect = Rect::from_min_size(pos2(10.0, 20.0), vec2(100.0, 50.0));
        let screen = to_screen_pixels(rect, pos2(35.0, 40.0), 2.0);
        assert_eq!(screen, pos2(50.0, 40.0));
        assert_eq!(from_screen_pixels(rect, screen, 2.0), pos2(35.0, 40.0));
    }

    #[test]
    fn turned_and_stretched_views_agree_with_the_display() {
        let turned = Orientation::default().turned().mirrored();
        for orientation in [Orientation::default(), Orientation::default().mirrored(), turned] {
            let geometry = Geometry::new(vec2(200.0, 100.0), Some([5.0, 2.0]), orientation);
            assert_eq!(geometry.stretch, vec2(1.0, 2.5));
            let fit = Viewport { geometry, view: vec2(333.0, 251.0), navigation: Navigation::default() };
            let zoomed = Viewport { navigation: fit.zoomed_about(pos2(50.0, 200.0), 3.0), ..fit };
            let panned = Viewport { navigation: zoomed.panned(vec2(-20.0, 11.0)), ..zoomed };
            for viewport in [fit, zoomed, panned] {
                for screen in [pos2(13.0, 200.0), pos2(160.5, 100.5)] {
                    let image = viewport.image_from_screen(screen);
                    assert!((viewport.screen_from_image(image) - screen).length() < 1e-2);
                    let shown = viewport.transform().image_from_output(screen.into());
                    assert!((image - Pos2::from(shown)).length() < 1e-2, "{image:?} {shown:?}");
                }
            }
            // Panning moves the picture by as much, unless an edge is in the way.
            let point = zoomed.image_from_screen(pos2(160.0, 120.0));
            let moved = panned.screen_from_image(point) - pos2(160.0, 120.0);
            assert!((moved - vec2(-20.0, 11.0)).length() < 1.5, "{moved:?}");
        }
    }

    #[test]
    fn the_magnified_point_is_where_it_should_be() {
        let geometry = Geometry::new(vec2(200.0, 100.0), Some([5.0, 2.0]), Orientation::default().turned());
        let viewport = Viewport { geometry, view: vec2(300.0, 300.0), navigation: Navigation::default() };
        let transform = viewport.magnified(pos2(30.0, 40.0), pos2(70.0, 60.0), 4.0);
        let [x, y] = transform.output_from_image([30.0, 40.0]);
        assert!((x - 70.0).abs() < 1e-3 && (y - 60.0).abs() < 1e-3);
        assert!((transform.zoom() / viewport.transform().zoom() - 4.0).abs() < 1e-3);
    }

    #[test]
    fn only_known_and_sensible_spacing_stretches() {
        let stretch = |spacing| Geometry::new(vec2(10.0, 10.0), spacing, Orientation::default()).stretch;
        assert_eq!(stretch(None), Vec2::splat(1.0));
        assert_eq!(stretch(Some([0.7, 0.70001])), Vec2::splat(1.0));
        assert_eq!(stretch(Some([1.0, 4.0])), vec2(4.0, 1.0));
        assert_eq!(stretch(Some([0.0, 4.0])), Vec2::splat(1.0));
        assert_eq!(stretch(Some([1e9, 1.0])), vec2(1.0, crate::view::MOST_STRETCH));
    }
}
