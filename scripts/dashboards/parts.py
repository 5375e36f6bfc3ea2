"""What the dashboards are made of: queries, panels, variables and annotations as Grafana 11 and later read them.

Leaves out what is asked and what it means (the_loop.py, charter.py, people.py).
"""

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

GREEN, ORANGE, RED, BLUE = "green", "orange", "red", "blue"

NEUTRAL = [(None, BLUE)]


def steps_up(orange=None, red=None):
    """Green, orange from `orange` on, red from `red` on."""
    return [(None, GREEN)] + [(at, c) for at, c in ((orange, ORANGE), (red, RED)) if at is not None]


def green_from(at):
    """Red below."""
    return [(None, RED), (at, GREEN)]


def thresholds(steps):
    return {"mode": "absolute", "steps": [{"value": at, "color": color} for at, color in steps]}


def says(words):
    """Words in the place of numbers: {1: ("yes", GREEN)}."""
    options = {str(n): {"text": t, "color": c, "index": i} for i, (n, (t, c)) in enumerate(words.items())}
    return [{"type": "value", "options": options}]


class Query:
    """One query. Unit, steps and words stand over those of its panel."""

    def __init__(self, expr, legend, unit=None, steps=None, words=None):
        self.expr, self.legend, self.unit, self.steps, self.words = expr, legend, unit, steps, words

    def target(self, ref, instant, kind):
        return {
            "refId": ref,
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": self.expr,
            "legendFormat": self.legend,
            "instant": instant,
            "range": not instant,
            "format": kind,
        }

    def override(self, ref):
        properties = []
        if self.unit:
            properties.append({"id": "unit", "value": self.unit})
        if self.steps:
            properties.append({"id": "thresholds", "value": thresholds(self.steps)})
        if self.words:
            properties.append({"id": "mappings", "value": says(self.words)})
        return [{"matcher": {"id": "byFrameRefID", "options": ref}, "properties": properties}] if properties else []


def panel(
    kind,
    title,
    description,
    queries,
    *,
    unit,
    width,
    height,
    steps=NEUTRAL,
    instant=False,
    form="time_series",
    defaults=None,
    options=None,
    more=None,
    overrides=(),
):
    refs = [chr(ord("A") + i) for i in range(len(queries))]
    made = {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "gridPos": {"w": width, "h": height},
        "targets": [q.target(ref, instant, form) for ref, q in zip(refs, queries)],
        "fieldConfig": {
            "defaults": {"unit": unit, "thresholds": thresholds(steps), **(defaults or {})},
            "overrides": [o for ref, q in zip(refs, queries) for o in q.override(ref)] + list(overrides),
        },
        "options": options or {},
    }
    made.update(more or {})
    return made


def stat(title, description, *queries, unit="none", width=4, height=8, steps=NEUTRAL):
    """The latest value of each query, in the colour of its threshold."""
    return panel(
        "stat",
        title,
        description,
        queries,
        unit=unit,
        width=width,
        height=height,
        steps=steps,
        instant=True,
        defaults={"color": {"mode": "thresholds"}, "noValue": "no data"},
        options={
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "horizontal",
            "textMode": "value_and_name",
            "wideLayout": True,
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
    )


def series(title, description, *queries, unit, width=8, height=8, steps=None, stack=False):
    """Over time; a line is drawn at each threshold."""
    style = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if stack else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if steps else "off"},
    }
    defaults = {"color": {"mode": "palette-classic"}, "custom": style, "min": 0}
    return panel(
        "timeseries",
        title,
        description,
        queries,
        unit=unit,
        width=width,
        height=height,
        steps=steps or NEUTRAL,
        defaults=defaults,
        options={
            "legend": {
                "displayMode": "table",
                "placement": "bottom",
                "showLegend": True,
                "calcs": ["lastNotNull", "max"],
                "sortBy": "Max",
                "sortDesc": True,
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    )


def heatmap(title, description, query, *, width=8, height=8):
    """How many fell into each bucket of a histogram, over time."""
    return panel(
        "heatmap",
        title,
        description,
        [query],
        unit="s",
        width=width,
        height=height,
        form="heatmap",
        options={
            "calculate": False,
            "cellGap": 1,
            "cellValues": {"unit": "none", "decimals": 0},
            "color": {
                "mode": "scheme",
                "scheme": "Oranges",
                "steps": 64,
                "exponent": 0.5,
                "fill": "dark-orange",
                "reverse": False,
                "scale": "exponential",
            },
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
            "yAxis": {"unit": "s", "axisPlacement": "left"},
        },
    )


def bars(title, description, query, *, unit="none", width=8, height=8, steps=NEUTRAL):
    """One bar for each series, the latest value."""
    return panel(
        "bargauge",
        title,
        description,
        [query],
        unit=unit,
        width=width,
        height=height,
        steps=steps,
        instant=True,
        defaults={"color": {"mode": "thresholds"}, "min": 0, "noValue": "no data"},
        options={
            "displayMode": "basic",
            "orientation": "horizontal",
            "valueMode": "color",
            "showUnfilled": True,
            "namePlacement": "left",
            "minVizHeight": 14,
            "minVizWidth": 8,
            "sizing": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
    )


def table(title, description, columns, *queries, nothing, width=8, height=8):
    """Rows by the labels that the queries share; `columns`, left to right, names labels and, as `Value #A`, values."""
    overrides = []
    for query, ref in zip(queries, "ABCDE"):
        column = columns[f"Value #{ref}" if len(queries) > 1 else "Value"]
        properties = [{"id": "unit", "value": query.unit or "none"}]
        if query.steps:
            properties += [
                {"id": "thresholds", "value": thresholds(query.steps)},
                {"id": "custom.cellOptions", "value": {"type": "color-text"}},
            ]
        overrides.append({"matcher": {"id": "byName", "options": column}, "properties": properties})
    bare = [Query(q.expr, q.legend) for q in queries]
    return panel(
        "table",
        title,
        description,
        bare,
        unit="none",
        width=width,
        height=height,
        instant=True,
        form="table",
        defaults={
            "color": {"mode": "thresholds"},
            "noValue": nothing,
            "custom": {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False},
        },
        options={"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "fields": ""}},
        overrides=overrides,
        more={
            "transformations": [
                {"id": "merge", "options": {}},
                {
                    "id": "organize",
                    "options": {
                        "excludeByName": {"Time": True},
                        "renameByName": columns,
                        "indexByName": {name: i for i, name in enumerate(columns)},
                    },
                },
            ]
        },
    )


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": 24, "h": 1}}


def arranged(panels, min_step):
    """Left to right, and on when 24 columns are full; the panels of a line are equally high. `min_step` is how often
    there is something new: Grafana makes $__rate_interval four of it."""
    x = y = line = 0
    for number, made in enumerate(panels, start=1):
        at = made["gridPos"]
        if x + at["w"] > 24:
            x, y = 0, y + line
        line = at["h"]
        at.update(x=x, y=y)
        x += at["w"]
        made["id"] = number
        for target in made.get("targets", []):
            if target["range"]:
                target["interval"] = min_step
    return panels


def variables(name_of, default):
    """Data source, job and instance, found by a metric that every target of this kind has."""

    def asked(name, label, query, **more):
        return {
            "name": name,
            "label": label,
            "type": "query",
            "datasource": DATASOURCE,
            "definition": query,
            "query": {"query": query, "refId": f"variable-{name}", "qryType": 1},
            "refresh": 2,
            "sort": 1,
            "regex": "",
            "hide": 0,
            "skipUrlSync": False,
            "options": [],
            **more,
        }

    return [
        {
            "name": "datasource",
            "label": "Prometheus",
            "type": "datasource",
            "query": "prometheus",
            "regex": "",
            "refresh": 1,
            "current": {"text": "Prometheus", "value": "prometheus"},
            "hide": 0,
            "includeAll": False,
            "multi": False,
            "options": [],
            "skipUrlSync": False,
        },
        asked(
            "job",
            "Job",
            f"label_values({name_of}, job)",
            includeAll=False,
            multi=False,
            current={"text": default, "value": default},
        ),
        asked(
            "instance",
            "Instance",
            f'label_values({name_of}{{job="$job"}}, instance)',
            includeAll=True,
            multi=True,
            allValue=".*",
            current={"text": ["All"], "value": ["$__all"]},
        ),
    ]


def annotation(name, color, expr, title, tags, text=""):
    """A mark wherever the query is above nothing; looked for every minute, so each window is a minute and a scrape."""
    return {
        "name": name,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "datasource": DATASOURCE,
        "expr": expr,
        "step": "60s",
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": tags,
        "useValueForTime": False,
        "target": {
            "refId": "Anno",
            "expr": expr,
            "interval": "60s",
            "legendFormat": title,
            "range": True,
            "instant": False,
        },
    }


def dashboard(uid, title, description, variables, annotations, panels, min_step):
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["mape-k"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "time": {"from": "now-3h", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "refresh": "30s",
        "weekStart": "",
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "links": [
            {
                "type": "dashboards",
                "title": "MAPE-K",
                "tags": ["mape-k"],
                "asDropdown": False,
                "includeVars": False,
                "keepTime": True,
                "targetBlank": False,
                "icon": "external link",
                "tooltip": "",
                "url": "",
            }
        ],
        "templating": {"list": variables},
        "annotations": {"list": annotations},
        "panels": arranged(panels, min_step),
    }
