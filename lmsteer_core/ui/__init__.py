"""The Gradio app: `app.build_app` is the sitemap, one file per tab."""
