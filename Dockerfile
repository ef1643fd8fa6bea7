# The app on CPUs, as `make demo` sets it up. Also what a Hugging Face Space builds (see the README's head).
FROM python:3.12-slim

RUN useradd --create-home --uid 1000 user
USER user
WORKDIR /home/user/app
# May name PyTorch's index of CPU packages; without it pip brings CUDA along.
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1

COPY --chown=user requirements.txt ./
RUN python -m venv .venv && .venv/bin/python -m pip install -r requirements.txt
COPY --chown=user app.py ./
COPY --chown=user assets assets
COPY --chown=user lmsteer_core lmsteer_core
COPY --chown=user pretrained_steers pretrained_steers
# The second command converts the embedded model, so that the container's start only reads it.
RUN .venv/bin/python -m lmsteer_core install embedded && .venv/bin/python -m lmsteer_core steers

ENV GRADIO_SERVER_NAME=0.0.0.0
EXPOSE 7860
CMD [".venv/bin/python", "app.py"]
