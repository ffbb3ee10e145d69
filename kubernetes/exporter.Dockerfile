# The image of the exporter: `docker build -f kubernetes/exporter.Dockerfile -t stakewatch-exporter:VERSION dist/`,
# where dist/ holds the wheel of stakewatch.
FROM python:3.11-slim
COPY stakewatch-*.whl /wheel/
RUN pip install --no-cache-dir "$(ls /wheel/stakewatch-*.whl)[exporter]" && rm -r /wheel
# Nobody: the Deployment asks for this user too.
USER 65532:65532
ENTRYPOINT ["stakewatch-exporter"]
