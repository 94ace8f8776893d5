"""The report in a real browser, headless Chromium: it works, and nothing leaves the file.

Where Chromium, its driver or selenium is missing the tests are skipped, and say so; with
TEST_PEERS=required, as in .ci/run, they fail.
"""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rcc_onnx.output.html import write_report
from tests.support.positioned_cases import SHAPE, placed_case
from tests.support.results import EVIL, case_result, evil_case, failed_case
from tests.support.runs import write_case
from tests.support.truths import two_kidneys

LIGHT_TO_DARK = 4.5
"""Least contrast of text: WCAG 2.2, 1.4.3."""
PHONE = 390


@pytest.fixture(scope="module")
def browser():
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    try:
        from selenium import webdriver  # noqa: PLC0415
        from selenium.webdriver.chrome.service import Service  # noqa: PLC0415
    except ImportError:
        webdriver = None
    if not (chromium and driver and webdriver):
        text = "Chromium, chromedriver or selenium is missing, so the report was not opened"
        if os.environ.get("TEST_PEERS") == "required":
            pytest.fail(text)
        pytest.skip(text)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(driver))
    yield found
    found.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of a report of five cases: 1 lesion, 2 quiet, 3 failed, 4 a smaller one, 5 evil."""
    folder = tmp_path_factory.mktemp("report")
    out = folder / "results"
    lesion = placed_case(folder / "a", "b lesion")
    quiet = placed_case(folder / "b", "a quiet", two_kidneys(SHAPE, lesion=False))
    right = lesion.sides["right"]
    diameter = replace(right.lesion_measures.longest_axial_diameter, mm=9.0)
    measures = replace(right.lesion_measures, volume_ml=1.5, longest_axial_diameter=diameter)
    smaller = replace(right, lesion=replace(right.lesion, measures=measures))
    small = replace(lesion, case="c small", sides={**lesion.sides, "right": smaller})
    results = [lesion, quiet, failed_case("d failed"), small, evil_case()]
    for result in results:
        write_case(result, out)
    write_report(results, out, 5, out / "report.html")
    return (out / "report.html").as_uri()


@pytest.fixture
def opened(browser, page):
    """The browser with the report just opened, of a desktop's size."""
    media(browser)
    sized(browser, 1280)
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(page)
    yield browser
    said = [one["message"] for one in browser.get_log("browser")]
    assert said == []


def media(browser, kind: str = "", **features: str) -> None:
    """What the page is shown on; without motion, so that a click hits where it was aimed."""
    wanted = {"prefers-reduced-motion": "reduce"} | features
    pairs = [{"name": name, "value": value} for name, value in wanted.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": pairs})


def sized(browser, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def all_of(browser, css: str):
    return browser.find_elements("css selector", css)


def one_of(browser, css: str):
    return browser.find_element("css selector", css)


def shown(browser) -> list[int]:
    """Numbers of the cases in the table, in order."""
    script = "return [...document.querySelectorAll('#cohort tbody tr')].filter(e => !e.hidden)"
    return [
        int(number) for number in browser.execute_script(f"{script}.map(e => e.dataset.number)")
    ]


def open_case(browser, number: int) -> None:
    link = one_of(browser, f"tr[data-number='{number}'] a")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", link)
    link.click()
    waited(browser, "return document.querySelectorAll('.case').length === 1")


def waited(browser, script: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait  # noqa: PLC0415

    WebDriverWait(browser, 10).until(lambda found: found.execute_script(script))


def slice_of(browser) -> int:
    return int(one_of(browser, ".stage canvas").get_attribute("data-slice"))


def orange(browser) -> tuple[int, int]:
    """Pixels of the lesion's outline in the left and the right half of the shown slice."""
    left, right = browser.execute_script(
        """const shown = document.querySelector('.stage canvas');
        const canvas = Object.assign(document.createElement('canvas'),
          {width: shown.width, height: shown.height});
        const pen = canvas.getContext('2d', {willReadFrequently: true});
        pen.drawImage(shown, 0, 0);
        const {data} = pen.getImageData(0, 0, canvas.width, canvas.height);
        const sides = [0, 0];
        for (let at = 0; at < data.length; at += 4) {
          if (data[at] > 230 && Math.abs(data[at + 1] - 159) < 25 && data[at + 2] < 60) {
            sides[((at / 4) % canvas.width) < canvas.width / 2 ? 0 : 1] += 1;
          }
        }
        return sides;"""
    )
    return left, right


def test_it_opens_without_an_error_or_a_request(opened) -> None:
    # No picture is made before its case is opened.
    assert opened.execute_script("return document.images.length") == 0
    for number in (1, 2, 3, 4, 5):
        open_case(opened, number)
    events = [json.loads(one["message"])["message"] for one in opened.get_log("performance")]
    asked = [
        one["params"]["request"]["url"]
        for one in events
        if one["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    assert len({url for url in asked if url.startswith("file:")}) <= 1


def test_the_policy_stops_what_would_leave(browser, page) -> None:
    browser.get(page)
    stopped = browser.execute_async_script(
        """const done = arguments[0], seen = [];
        document.addEventListener('securitypolicyviolation', (event) => {
          seen.push(event.effectiveDirective);
          if (seen.length === 3) done(seen.sort());
        });
        document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}));
        document.body.append(Object.assign(document.createElement('script'), {text: '1'}));
        fetch('http://127.0.0.1:9/').catch(() => {});"""
    )
    assert stopped == ["connect-src", "img-src", "script-src-elem"]
    browser.get_log("browser")  # what was stopped on purpose is said there


def test_harmful_texts_are_text(opened) -> None:
    open_case(opened, 5)
    assert "<script>alert(1)</script>" in one_of(opened, ".case h2").text.replace("\u2215", "/")
    assert EVIL in one_of(opened, ".case").text
    assert all_of(opened, "img[src=x]") == []


def test_sorting(opened) -> None:
    assert shown(opened) == [1, 2, 3, 4, 5]
    heading = one_of(opened, "th[data-key=volume]")
    heading.find_element("css selector", "button").click()
    # Largest first; those without a volume last, in the order of the run.
    largest_first = shown(opened)
    assert set(largest_first[:2]) == {1, 5}
    assert largest_first[-2:] == [2, 3]
    assert largest_first[2] == 4
    assert heading.get_attribute("aria-sort") == "descending"
    heading.find_element("css selector", "button").click()
    assert shown(opened)[0] == 4
    assert shown(opened)[-2:] == [2, 3]
    assert heading.get_attribute("aria-sort") == "ascending"
    one_of(opened, "th[data-key=case] button").click()
    assert shown(opened)[-4:] == [2, 1, 4, 3]
    assert heading.get_attribute("aria-sort") == "none"


def test_filtering_and_search(opened) -> None:
    def tick(name: str, value: str) -> None:
        box = next(
            one
            for one in all_of(opened, f"input[name={name}]")
            if one.get_attribute("value") == value
        )
        opened.execute_script("arguments[0].click()", box)

    tick("outcome", "failed")
    assert shown(opened) == [3]
    tick("outcome", "lesion")
    assert shown(opened) == [1, 3, 4, 5]
    tick("flag", EVIL)
    assert shown(opened) == [5]
    one_of(opened, "button[type=reset]").click()
    waited(opened, "return document.querySelectorAll('#cohort tbody tr[hidden]').length === 0")
    search = one_of(opened, "#search")
    search.send_keys("SMALL")
    assert shown(opened) == [4]
    assert one_of(opened, "#count").text == "1 of 5 cases"
    # Neighbours are those of the filtered table.
    open_case(opened, 4)
    assert not one_of(opened, "[data-go=next]").is_enabled()
    assert not one_of(opened, "[data-go=previous]").is_enabled()
    one_of(opened, "[data-go=close]").click()
    search.send_keys("er than nothing")
    assert shown(opened) == []
    assert one_of(opened, "#nothing").is_displayed()


def test_a_case_by_keyboard_and_back(opened) -> None:
    from selenium.webdriver.common.keys import Keys  # noqa: PLC0415

    link = one_of(opened, "tr[data-number='1'] a")
    opened.execute_script("arguments[0].focus()", link)
    link.send_keys(Keys.ENTER)
    waited(opened, "return document.activeElement.id === 'title-1'")
    waited(opened, "return document.querySelector('.overview img').naturalWidth === 1280")
    active = opened.switch_to.active_element
    active.send_keys(Keys.TAB)
    assert opened.switch_to.active_element.text == "Next"
    width = "return getComputedStyle(document.activeElement).outlineWidth"
    assert opened.execute_script(width) == "3px"
    opened.switch_to.active_element.send_keys(Keys.ENTER)
    waited(opened, "return document.activeElement.id === 'title-2'")
    one_of(opened, "[data-go=close]").click()
    assert all_of(opened, ".case") == []
    assert opened.switch_to.active_element.text == "a quiet"


def test_scrolling_through_slices(opened) -> None:
    from selenium.webdriver.common.action_chains import ActionChains  # noqa: PLC0415
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin  # noqa: PLC0415
    from selenium.webdriver.common.keys import Keys  # noqa: PLC0415

    open_case(opened, 1)
    stage, slider = one_of(opened, ".stage"), one_of(opened, ".scroller input[type=range]")
    start = slice_of(opened)
    steps = {Keys.ARROW_DOWN: 1, Keys.ARROW_UP: -1, Keys.PAGE_DOWN: 5, Keys.ARROW_RIGHT: 1}
    for key, step in steps.items():
        before = slice_of(opened)
        stage.send_keys(key)
        assert slice_of(opened) == before + step
    stage.send_keys(Keys.HOME)
    assert slice_of(opened) == 0
    stage.send_keys(Keys.ARROW_UP)
    assert slice_of(opened) == 0
    stage.send_keys(Keys.END)
    assert slice_of(opened) == SHAPE[0] - 1
    assert f"slice {SHAPE[0]}," in one_of(opened, ".position").text
    slider.send_keys(Keys.ARROW_LEFT)
    assert slice_of(opened) == SHAPE[0] - 2
    all_of(opened, "[data-slice]:is(button)")[0].click()
    assert slice_of(opened) == start
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", stage)
    page_at = opened.execute_script("return scrollY")
    wheel = ActionChains(opened).scroll_from_origin(ScrollOrigin.from_element(stage), 0, 120)
    wheel.perform()
    assert slice_of(opened) > start
    assert opened.execute_script("return scrollY") == page_at


def test_masks_lie_on_the_patients_side_and_can_be_hidden(opened) -> None:
    open_case(opened, 1)
    waited(opened, "return document.querySelector('.sheet').complete")
    right_of_patient, left_of_patient = orange(opened)
    assert right_of_patient > 100
    assert left_of_patient == 0
    one_of(opened, ".stage").send_keys("m")
    assert orange(opened) == (0, 0)
    one_of(opened, ".stage").send_keys("m")
    assert orange(opened) == (right_of_patient, 0)


def luminance(colour: list[float]) -> float:
    parts = [one / 255 for one in colour[:3]]
    parts = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_can_be_read(opened, scheme: str) -> None:
    media(opened, **{"prefers-color-scheme": scheme})
    open_case(opened, 1)
    colours = opened.execute_script(
        """const parsed = (text) => text.match(/[\\d.]+/g).map(Number);
        const ground = (one) => {
          for (let at = one; at; at = at.parentElement) {
            const colour = parsed(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] > 0) return colour;
          }
          return [255, 255, 255];
        };
        const words = 'h1, h2, h3, p, dt, dd, th, td, a, button, .badge, .flag, code, li, legend';
        return [...document.querySelectorAll(words)]
          .filter((one) => one.checkVisibility() && one.textContent.trim())
          .map((one) => [one.textContent.trim().slice(0, 30),
            parsed(getComputedStyle(one).color), ground(one)]);"""
    )
    page = luminance(opened.execute_script(
        "return getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number)"
    ))  # fmt: skip
    assert page > 0.8 if scheme == "light" else page < 0.1
    assert len(colours) > 100
    for text, ink, ground in colours:
        high, low = sorted((luminance(ink), luminance(ground)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= LIGHT_TO_DARK, (text, ink, ground)


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_a_phone_shows_all_of_its_width(opened, number: int) -> None:
    sized(opened, PHONE)
    opened.refresh()
    open_case(opened, number)
    assert opened.execute_script("return document.documentElement.scrollWidth") <= PHONE
    assert opened.execute_script("return innerWidth") == PHONE
    # Headings that sort are gone; the list that sorts is there.
    assert not one_of(opened, "#cohort thead").is_displayed()
    assert one_of(opened, "#sort-by").is_displayed()
    one_of(opened, "#sort-by option[value=volume]").click()
    assert shown(opened)[2] == 4


def test_print_has_pictures_and_no_controls(opened) -> None:
    open_case(opened, 1)
    media(opened, "print")
    for css in (".controls", ".scroller", ".case nav"):
        assert not one_of(opened, css).is_displayed()
    for css in ("#cohort", ".overview img", ".measurements", ".strip"):
        assert one_of(opened, css).is_displayed()
    kept = "return getComputedStyle(document.querySelector('.overview')).breakInside"
    assert opened.execute_script(kept) == "avoid"


def test_all_shown_cases_can_be_printed(opened) -> None:
    one_of(opened, "#search").send_keys("l")
    numbers = shown(opened)
    opened.execute_script(
        """window.print = () => {
          window.printed = [...document.querySelectorAll('.case')].map((one) => one.dataset.number);
        };"""
    )
    one_of(opened, "#print-all").click()
    waited(opened, "return Boolean(window.printed)")
    assert [int(one) for one in opened.execute_script("return window.printed")] == numbers
    assert all_of(opened, ".case") == []


def test_a_report_of_one_case_is_open_at_once(browser, tmp_path: Path) -> None:
    write_report([case_result()], tmp_path, 1, tmp_path / "report.html")
    browser.get((tmp_path / "report.html").as_uri())
    assert len(all_of(browser, ".case")) == 1
