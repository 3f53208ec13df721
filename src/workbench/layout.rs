//! Where the panels are: a tree of tiles that people rearrange, and the behaviour that draws them.

use super::state::State;
use super::{CommandSender, Pane, PaneContext, PanelKind, theme};
use super::{compare, curves, inspector, library, model, steps, train};
use eframe::egui::{self, Align, Layout, Ui, Vec2, WidgetText};
use egui_tiles::{
    Container, Linear, LinearDir, SimplificationOptions, TabState, Tile, TileId, Tiles, Tree, UiResponse,
};

/// The panels themselves.
#[derive(Default)]
pub struct Panels {
    compare: compare::Compare,
    curves: curves::Curves,
    library: library::Library,
    inspector: inspector::Inspector,
    model: model::ModelPanel,
    steps: steps::Steps,
    train: train::TrainPanel,
}

impl Panels {
    fn get(&mut self, kind: PanelKind) -> &mut dyn Pane {
        match kind {
            PanelKind::Compare => &mut self.compare,
            PanelKind::Curves => &mut self.curves,
            PanelKind::Library => &mut self.library,
            PanelKind::Inspector => &mut self.inspector,
            PanelKind::Model => &mut self.model,
            PanelKind::Steps => &mut self.steps,
            PanelKind::Train => &mut self.train,
        }
    }

    /// Draws one panel into all of `ui`.
    pub fn ui(
        &mut self,
        kind: PanelKind,
        ui: &mut Ui,
        state: &State,
        commands: &CommandSender,
        context: &mut PaneContext<'_>,
    ) {
        self.get(kind).ui(ui, state, commands, context);
    }
}

/// What the bars of the window, of the panels and of the pictures take of its height when six pictures stand in two
/// rows, in points, about.
const BARS_HEIGHT: f32 = 290.0;
/// What the library takes of a window's width at first, in points, about.
const LIBRARY_WIDTH: f32 = 190.0;

/// The first arrangement in a window of `size` points. Pictures come first: six square ones in two rows get the window's
/// whole height, and what they leave of its width holds the curves, above library and inspector.
pub fn first(size: Vec2) -> Tree<PanelKind> {
    let size = size.max(Vec2::splat(1.0));
    let side = (size.y - BARS_HEIGHT).max(0.0) / 2.0;
    let pictures = ((3.0 * side + 24.0) / size.x).clamp(0.5, 0.7);
    let library_width = (LIBRARY_WIDTH / (size.x * (1.0 - pictures))).clamp(0.25, 0.4);
    let mut tiles = Tiles::default();
    let library = tiles.insert_pane(PanelKind::Library);
    let compare = tiles.insert_pane(PanelKind::Compare);
    let curves = tiles.insert_pane(PanelKind::Curves);
    let steps = tiles.insert_pane(PanelKind::Steps);
    let train = tiles.insert_pane(PanelKind::Train);
    let inspector = tiles.insert_pane(PanelKind::Inspector);
    let model = tiles.insert_pane(PanelKind::Model);
    let library = tiles.insert_tab_tile(vec![library]);
    let compare = tiles.insert_tab_tile(vec![compare, steps, train]);
    let curves = tiles.insert_tab_tile(vec![curves]);
    let inspector = tiles.insert_tab_tile(vec![inspector, model]);
    let mut split = |direction, tiles_of_it, share| {
        tiles.insert_container(Container::Linear(Linear::new_binary(direction, tiles_of_it, share)))
    };
    let choices = split(LinearDir::Horizontal, [library, inspector], library_width);
    let side = split(LinearDir::Vertical, [curves, choices], 0.48);
    let root = split(LinearDir::Horizontal, [compare, side], pictures);
    Tree::new(egui::Id::unique("panels"), root, tiles)
}

/// A tree from the settings, if every panel is in it exactly once; else the first arrangement.
pub fn mended(tree: Option<Tree<PanelKind>>, size: Vec2) -> Tree<PanelKind> {
    match tree {
        Some(tree)
            if tree.root().is_some()
                && tree.tiles.tiles().filter(|t| t.is_pane()).count() == PanelKind::ALL.len()
                && PanelKind::ALL.iter().all(|kind| tree.tiles.find_pane(kind).is_some()) =>
        {
            tree
        }
        _ => first(size),
    }
}

/// Whether a panel is shown.
pub fn is_shown(tree: &Tree<PanelKind>, kind: PanelKind) -> bool {
    tree.tiles.find_pane(&kind).is_some_and(|id| tree.is_visible(id))
}

/// Shows or hides a panel; a shown one comes to the front of its tabs.
pub fn show(tree: &mut Tree<PanelKind>, kind: PanelKind, shown: bool) {
    let Some(id) = tree.tiles.find_pane(&kind) else { return };
    tree.set_visible(id, shown);
    if shown {
        tree.make_active(|tile, _| tile == id);
    }
}

/// What the tree needs to draw itself.
pub struct Tiling<'a, 'b> {
    /// The panels.
    pub panels: &'a mut Panels,
    /// What they show.
    pub state: &'a State,
    /// Where their wishes go.
    pub commands: &'a CommandSender,
    /// What they draw with.
    pub context: &'a mut PaneContext<'b>,
}

impl egui_tiles::Behavior<PanelKind> for Tiling<'_, '_> {
    fn pane_ui(&mut self, ui: &mut Ui, _: TileId, kind: &mut PanelKind) -> UiResponse {
        let margin = if *kind == PanelKind::Compare { 4 } else { 8 };
        let fill = theme::of(ui).panel;
        egui::Frame::NONE.fill(fill).inner_margin(margin).show(ui, |ui| {
            ui.with_layout(Layout::top_down(Align::LEFT), |ui| {
                ui.set_min_size(ui.available_size());
                self.panels.ui(*kind, ui, self.state, self.commands, self.context);
            });
        });
        UiResponse::None
    }

    fn tab_title_for_pane(&mut self, kind: &PanelKind) -> WidgetText {
        kind.title().into()
    }

    fn is_tab_closable(&self, tiles: &Tiles<PanelKind>, id: TileId) -> bool {
        !matches!(tiles.get(id), Some(Tile::Pane(PanelKind::Compare)))
    }

    fn on_tab_close(&mut self, tiles: &mut Tiles<PanelKind>, id: TileId) -> bool {
        // Hidden, not removed: the menu brings it back where it was.
        if let Some(Tile::Pane(kind)) = tiles.get(id) {
            self.commands.send(super::Command::Panel(*kind, false));
        }
        false
    }

    fn simplification_options(&self) -> SimplificationOptions {
        SimplificationOptions { all_panes_must_have_tabs: true, ..SimplificationOptions::default() }
    }

    fn tab_bar_height(&self, style: &egui::Style) -> f32 {
        style.spacing.interact_size.y + 4.0
    }

    fn gap_width(&self, _: &egui::Style) -> f32 {
        4.0
    }

    fn min_size(&self) -> f32 {
        120.0
    }

    fn tab_title_spacing(&self, _: &egui::Visuals) -> f32 {
        10.0
    }

    fn close_button_outer_size(&self) -> f32 {
        14.0
    }

    fn close_button_inner_margin(&self) -> f32 {
        4.0
    }

    fn tab_bar_color(&self, visuals: &egui::Visuals) -> egui::Color32 {
        colors(visuals).bar
    }

    fn tab_bg_color(&self, visuals: &egui::Visuals, _: &Tiles<PanelKind>, _: TileId, tab: &TabState) -> egui::Color32 {
        let colors = colors(visuals);
        if tab.active { colors.panel } else { colors.bar }
    }

    fn tab_outline_stroke(&self, _: &egui::Visuals, _: &Tiles<PanelKind>, _: TileId, _: &TabState) -> egui::Stroke {
        egui::Stroke::NONE
    }

    fn tab_bar_hline_stroke(&self, visuals: &egui::Visuals) -> egui::Stroke {
        egui::Stroke::new(1.0, colors(visuals).panel)
    }

    fn tab_text_color(
        &self,
        visuals: &egui::Visuals,
        _: &Tiles<PanelKind>,
        _: TileId,
        tab: &TabState,
    ) -> egui::Color32 {
        let colors = colors(visuals);
        if tab.active { colors.text } else { colors.weak }
    }

    fn cycle_tabs_with_keyboard(&self) -> bool {
        true
    }
}

fn colors(visuals: &egui::Visuals) -> &'static theme::Palette {
    theme::palette(if visuals.dark_mode { super::state::Theme::Dark } else { super::state::Theme::Light })
}

/// A heading inside a panel, with some air above.
pub fn section(ui: &mut Ui, title: &str) {
    ui.add_space(8.0);
    ui.label(theme::semibold(title));
}

#[cfg(test)]
mod tests {
    use super::*;
    use eframe::egui::vec2;

    const SIZE: Vec2 = vec2(1280.0, 800.0);

    #[test]
    fn a_tree_that_lacks_a_panel_is_replaced() {
        let mut tree = first(SIZE);
        assert_eq!(mended(Some(tree.clone()), SIZE), tree);
        let steps = tree.tiles.find_pane(&PanelKind::Steps).unwrap();
        tree.remove_recursively(steps);
        assert_eq!(mended(Some(tree), SIZE), first(SIZE));
        assert_eq!(mended(None, SIZE), first(SIZE));
    }

    #[test]
    fn panels_hide_and_come_back() {
        let mut tree = first(SIZE);
        for kind in PanelKind::ALL {
            assert!(is_shown(&tree, kind));
            show(&mut tree, kind, false);
            assert!(!is_shown(&tree, kind));
            show(&mut tree, kind, true);
            assert!(is_shown(&tree, kind));
        }
    }
}
