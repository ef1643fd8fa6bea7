from lmsteer_core.ui.page.context import Announcement


def test_every_announcement_differs_so_that_all_tabs_observe_it(page) -> None:
    first, second = page.announce("joy"), page.announce("joy")
    assert first.newest == second.newest == "joy"
    assert len({first, second, Announcement()}) == 3
    assert page.announce(None).newest is None
