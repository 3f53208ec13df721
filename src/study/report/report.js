// One ε at a time, chosen by the slider or by a click on the table; without scripts all are shown one below the other.
(function () {
  var articles = document.querySelectorAll(".epsilon"), lines = document.querySelectorAll(".fig-here");
  var rows = document.querySelectorAll("tbody tr"), slider = document.querySelector(".slider");
  if (!slider || articles.length < 2) return;
  var input = slider.querySelector("input"), output = slider.querySelector("output");
  function show() {
    var chosen = Number(input.value);
    articles.forEach(function (article, i) { article.hidden = i !== chosen; });
    lines.forEach(function (line, i) { line.classList.toggle("shown", i === chosen); });
    output.textContent = articles[chosen].dataset.epsilon;
    input.setAttribute("aria-valuetext", articles[chosen].dataset.epsilon);
  }
  input.addEventListener("input", show);
  rows.forEach(function (row, i) {
    row.style.cursor = "pointer";
    row.addEventListener("click", function () {
      input.value = i; show(); document.getElementById("pictures").scrollIntoView({ behavior: "smooth" });
    });
  });
  slider.hidden = false;
  show();
})();
