"""The Gradio app: `app.build_app` is the sitemap, one package per tab."""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported
