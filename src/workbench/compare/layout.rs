//! How many views fit a pane at a readable size, and where they go.

use eframe::egui::{Rect, Vec2, pos2, vec2};

/// A picture is readable from this size on, in points: below it the grid shows fewer views.
pub const READABLE: f32 = 116.0;
/// Between two views, in points.
pub const GAP: f32 = 8.0;

/// The lines of text around a picture, in points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lines {
    /// The title above it.
    pub title: f32,
    /// The line of key numbers below it.
    pub caption: f32,
}

impl Lines {
    /// In the window's own type, `large` times as large for a lecture hall.
    pub fn scaled(large: f32) -> Self {
        Self { title: 22.0 * large, caption: 20.0 * large }
    }
}

/// The numbers of views that the grid falls back to.
const FEWER: [usize; 3] = [4, 2, 1];

/// One view's place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Title, picture and caption.
    pub whole: Rect,
    /// The title's line.
    pub title: Rect,
    /// Where the picture goes.
    pub picture: Rect,
    /// The line of numbers.
    pub caption: Rect,
}

impl Cell {
    fn new(whole: Rect, lines: Lines) -> Self {
        let picture_top = whole.top() + lines.title;
        let picture_bottom = (whole.bottom() - lines.caption).max(picture_top);
        Self {
            whole,
            title: Rect::from_min_max(whole.min, pos2(whole.right(), picture_top)),
            picture: Rect::from_min_max(pos2(whole.left(), picture_top), pos2(whole.right(), picture_bottom)),
            caption: Rect::from_min_max(pos2(whole.left(), picture_bottom), whole.max),
        }
    }
}

/// Places for `most` views, or for 4, 2 or 1 where so many would be smaller than readable, each with the largest picture
/// for an image of `aspect` (width over height). One view is always shown.
pub fn cells(area: Rect, aspect: f32, most: usize, lines: Lines) -> Vec<Cell> {
    let most = most.max(1);
    let counts = std::iter::once(most).chain(FEWER.into_iter().filter(|&fewer| fewer < most));
    let mut chosen = (1, (1, 1));
    for count in counts {
        let (grid, size) = best_grid(area, aspect, count, lines);
        chosen = (count, grid);
        if size.max_elem() >= READABLE {
            break;
        }
    }
    let (count, (columns, rows)) = chosen;
    let size = cell_size(area, (columns, rows));
    (0..count)
        .map(|i| {
            let step = vec2((i % columns) as f32 * (size.x + GAP), (i / columns) as f32 * (size.y + GAP));
            Cell::new(Rect::from_min_size(area.min + step, size), lines)
        })
        .collect()
}

/// The columns and rows that show `count` pictures largest, and their size.
fn best_grid(area: Rect, aspect: f32, count: usize, lines: Lines) -> ((usize, usize), Vec2) {
    let mut best = ((count, 1), Vec2::ZERO);
    let mut score = 0.0;
    // From many columns to few: of two grids with pictures of one size the wider one is taken.
    for columns in (1..=count).rev() {
        let grid = (columns, count.div_ceil(columns));
        let size = picture_size(area, aspect, grid, lines);
        // A grid with holes must show its pictures that much larger.
        let filled = (count as f32 / (grid.0 * grid.1) as f32).sqrt();
        if size.x * filled > score {
            score = size.x * filled;
            best = (grid, size);
        }
    }
    best
}

fn cell_size(area: Rect, (columns, rows): (usize, usize)) -> Vec2 {
    let across = (area.width() - GAP * (columns as f32 - 1.0)) / columns as f32;
    let down = (area.height() - GAP * (rows as f32 - 1.0)) / rows as f32;
    vec2(across.floor().max(1.0), down.floor().max(1.0))
}

/// The size of the picture in one cell of a grid.
fn picture_size(area: Rect, aspect: f32, grid: (usize, usize), lines: Lines) -> Vec2 {
    let cell = cell_size(area, grid);
    let room = vec2(cell.x, (cell.y - lines.title - lines.caption).max(1.0));
    let aspect = if aspect.is_finite() && aspect > 0.0 { aspect } else { 1.0 };
    let width = room.x.min(room.y * aspect);
    vec2(width, width / aspect)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn area(width: f32, height: f32) -> Rect {
        Rect::from_min_size(pos2(0.0, 0.0), vec2(width, height))
    }

    #[test]
    fn six_views_in_three_columns_on_a_wide_pane() {
        let cells = cells(area(900.0, 600.0), 1.0, 6, Lines::scaled(1.0));
        assert_eq!(cells.len(), 6);
        assert!(cells[2].whole.top() == cells[0].whole.top() && cells[3].whole.top() > cells[0].whole.top());
    }

    #[test]
    fn fewer_views_on_a_smaller_pane() {
        let counts: Vec<usize> = [(900.0, 600.0), (340.0, 340.0), (300.0, 200.0), (150.0, 180.0), (40.0, 40.0)]
            .iter()
            .map(|&(w, h)| cells(area(w, h), 1.0, 6, Lines::scaled(1.0)).len())
            .collect();
        assert_eq!(counts, [6, 4, 2, 1, 1]);
    }

    proptest! {
        #[test]
        fn cells_stay_inside_and_never_overlap(width in 60f32..3000.0, height in 80f32..2000.0, aspect in 0.2f32..5.0) {
            let area = area(width, height);
            let cells = cells(area, aspect, 6, Lines::scaled(1.0));
            prop_assert!([1, 2, 4, 6].contains(&cells.len()));
            for (i, cell) in cells.iter().enumerate() {
                prop_assert!(area.expand(0.5).contains_rect(cell.whole));
                prop_assert!(cell.whole.contains_rect(cell.picture));
                for other in &cells[i + 1..] {
                    prop_assert!(!cell.whole.shrink(0.5).intersects(other.whole));
                }
            }
        }
    }
}
